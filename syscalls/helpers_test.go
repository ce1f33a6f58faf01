package syscalls_test

// second is the error of a call that returns something besides.
func second[T any](_ T, err error) error { return err }
