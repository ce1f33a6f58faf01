// Restrict runs a command as it would run in a default container or on another kernel: with fewer
// capabilities and with system calls that fail.
//
//	restrict -docker -- go test ./...
//	restrict -refuse statx=ENOSYS,copy_file_range=ENOSYS,ioctl:FICLONE=ENOTTY -- command
//
// It is Linux only; elsewhere it says so and fails. It changes the process that it runs in and then
// executes the command in it, so a filter holds for every thread and every child of the command.
// The script .ci/container runs commands with it on a root of overlayfs.
package main
