// Package consumers runs libraries that know nothing of snapshots on the types of packages snapshot
// and adapters. It has no code but tests, and is a module of its own because of those libraries:
//
//	go -C benchmarks/consumers test ./...
//
// # What runs
//
// Each test gets the result that an *os.File or a directory of package os gives. Where the table says
// "whole", the file is truncated, overwritten and replaced while the library reads it, and the
// library reads all of the old contents; with an *os.File the same test fails. TestTable compares the
// table with the tests and with go.mod.
//
//	module                                                   version                             test                  what runs
//	testing/fstest                                           -                                   TestFSTest            the checks of fstest.TestFS, of an FS
//	net/http                                                 -                                   TestHTTP              the answers of http.Dir for an FS: ranges, conditions, redirects, index pages
//	github.com/spf13/afero                                   v1.15.0                             TestAfero             functions of afero on a File and a Reader, below a directory and in layers
//	github.com/go-git/go-billy/v5                            v5.9.2                              TestBilly             the exported suite for filesystems, on a File and a Reader
//	gopkg.in/check.v1                                        v1.0.0-20201130134442-10cb98267c6c  TestBilly             runs that suite
//	modernc.org/sqlite                                       v1.62.0                             TestSQLite            queries of a database of an FS by package vfs: whole
//	github.com/parquet-go/parquet-go                         v0.32.0                             TestParquet           a file written to a File, and rows of a Reader: whole
//	github.com/apache/arrow-go/v18                           v18.8.0                             TestArrowParquet      a column of a Reader: whole
//	github.com/apache/arrow-go/v18                           v18.8.0                             TestArrowIPC          batches written to a File, and batches of a Reader: whole
//	github.com/oschwald/maxminddb-golang/v2                  v2.9.1                              TestMaxMindDB         lookups in Mmap.Bytes and in a View: whole
//	github.com/maxmind/mmdbwriter                            v1.2.0                              TestMaxMindDB         writes that database to a File
//	github.com/bodgit/sevenzip                               v1.6.5                              TestSevenZip          the members of archives of its own testdata, by a Reader: whole
//	github.com/aws/aws-sdk-go-v2                             v1.48.0                             TestS3Upload          a Reader in one request and in parallel parts, each sent twice: whole
//	github.com/aws/aws-sdk-go-v2/service/s3                  v1.114.10                           TestS3Upload          the same
//	github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager  v0.5.7                              TestS3Upload          the same
//	github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager  v0.5.7                              TestS3Download        parallel parts to a File, in any order
package consumers
