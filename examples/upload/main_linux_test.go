package main

import (
	"io"
	"log"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	if dir := os.Getenv(gatewayDir); dir != "" {
		log.SetOutput(os.Stderr)
		log.Fatal(serveGateway(dir, os.Getenv(gatewaySocket)))
	}
	mounttest.Main(m)
}
