// Package httpfs serves the files of an [adapters.FS] by HTTP. Each response is sent from one
// snapshot of a file.
//
//	fsys, err := adapters.NewFS(dir, snapshot.Config{})
//	…
//	defer fsys.Close()
//	http.Handle("/", &httpfs.Handler{FS: fsys})
//
// It is a package of its own so that package adapters does not import net/http.
package httpfs
