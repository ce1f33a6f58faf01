// Package retry holds the attempts and pauses of operations that fail because another process
// changes a file meanwhile.
package retry
