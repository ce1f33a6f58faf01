// Package sqlite tests snapshots of SQLite databases that other processes write to, and of those
// that this process has open. It has no code but tests.
package sqlite
