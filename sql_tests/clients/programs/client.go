// Go, github.com/mattn/go-sqlite3 with the system's SQLite.
package main

import (
	"database/sql"
	"fmt"
	"os"

	sqlite3 "github.com/mattn/go-sqlite3"
)

const counts = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// One connection: statements like BEGIN would otherwise meet any one of the pool.
func open(timeout int) *sql.DB {
	db, err := sql.Open("sqlite3_lsm", fmt.Sprintf("file:test.db?_busy_timeout=%d", timeout))
	must(err)
	db.SetMaxOpenConns(1)
	return db
}

func one(db *sql.DB, query string, values ...interface{}) (found string) {
	must(db.QueryRow(query, values...).Scan(&found))
	return
}

func run(db *sql.DB, statements ...string) {
	for _, statement := range statements {
		_, err := db.Exec(statement)
		must(err)
	}
}

func refused(db *sql.DB, statement string) string {
	if _, err := db.Exec(statement); err != nil {
		return err.Error()
	}
	return "no error"
}

func insertRows(ended chan<- bool) {
	db := open(10000)
	tx, err := db.Begin()
	must(err)
	insert, err := tx.Prepare("INSERT INTO t(k) VALUES (?)")
	must(err)
	for n := 0; n < 100; n++ {
		_, err = insert.Exec(fmt.Sprintf("thread %d", n))
		must(err)
	}
	must(tx.Commit())
	must(db.Close())
	ended <- true
}

func main() {
	sql.Register("sqlite3_lsm", &sqlite3.SQLiteDriver{Extensions: []string{os.Args[1]}})
	rows := []struct {
		k string
		v interface{}
	}{{"integer", int64(9223372036854775807)}, {"negative", int64(-9007199254740993)}, {"real", 1.5}, {"text", "it's zażółć"}, {"日本", "😀𝄞"},
		{"blob", []byte{0, 255, 16}}, {"null", nil}}
	db := open(10000)
	fmt.Println("sqlite", one(db, "SELECT sqlite_version()"))
	one(db, "PRAGMA journal_mode = WAL")
	run(db, "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))", "CREATE TABLE o(k TEXT PRIMARY KEY, v)")
	tx, err := db.Begin()
	must(err)
	for _, table := range []string{"t", "o"} {
		for _, row := range rows {
			_, err = tx.Exec("INSERT INTO "+table+"(k, v) VALUES (?, ?)", row.k, row.v)
			must(err)
		}
	}
	must(tx.Commit())
	found, err := db.Query("SELECT k, v FROM t ORDER BY k")
	must(err)
	type row struct {
		k string
		v interface{}
	}
	var all []row
	for found.Next() {
		var each row
		must(found.Scan(&each.k, &each.v))
		all = append(all, each)
	}
	must(found.Err())
	for _, each := range all {
		fmt.Println("row", each.k, one(db, "SELECT typeof(x) || ' ' || quote(x) FROM (SELECT ? AS x)", each.v))
	}
	run(db, "BEGIN", "DELETE FROM t", "INSERT INTO o VALUES ('lost', 1)", "ROLLBACK")
	fmt.Println("rollback", one(db, counts))
	run(db, "BEGIN", "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)", "COMMIT")
	fmt.Println("commit", one(db, counts))
	run(db, "BEGIN", "INSERT INTO t(k) VALUES ('d')", "SAVEPOINT s", "DELETE FROM t", "INSERT INTO t(k) VALUES ('lost')", "ROLLBACK TO s", "RELEASE s", "COMMIT")
	fmt.Println("savepoint", one(db, counts))
	fmt.Println("error", refused(db, "INSERT INTO t(k) VALUES ('c')"))
	must(db.Close())

	db = open(10000)
	fmt.Println("reopened", one(db, counts))
	other := open(0)
	run(other, "INSERT INTO t(k) VALUES ('second')")
	fmt.Println("second", one(db, counts))
	run(db, "BEGIN IMMEDIATE", "INSERT INTO t(k) VALUES ('undone')")
	fmt.Println("error", refused(other, "INSERT INTO t(k) VALUES ('busy')"))
	run(db, "ROLLBACK")
	must(other.Close())

	ended := make(chan bool)
	go insertRows(ended)
	<-ended
	fmt.Println("thread", one(db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'"))
	run(db, "DELETE FROM t WHERE k LIKE 'thread%'")
	fmt.Println("check", one(db, "SELECT lsm_check() || ' ' || count(*) FROM t"))
	must(db.Close())

	db = open(10000)
	run(db, "INSERT INTO t(k) VALUES ('left open')")
	fmt.Println("left open")
}
