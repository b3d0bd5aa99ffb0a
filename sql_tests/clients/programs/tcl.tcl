# Tcl, package sqlite3. A thread needs the package Thread.
package require sqlite3
fconfigure stdout -encoding utf-8
set extension [lindex $argv 0]

proc connect {name extension timeout} {
    sqlite3 $name test.db
    $name timeout $timeout
    $name enable_load_extension 1
    $name eval {SELECT load_extension($extension)}
    $name enable_load_extension 0
}

proc refused {db sql} {
    if {[catch {$db eval $sql} message]} {return $message}
    return "no error"
}

proc say {word db sql} {puts "$word [$db onecolumn $sql]"}

set counts {SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)}

connect db $extension 10000
say sqlite db {SELECT sqlite_version()}
db eval {PRAGMA journal_mode = WAL}
db eval {
    CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n));
    CREATE TABLE o(k TEXT PRIMARY KEY, v);
}
set integer [expr {9223372036854775807}]
set negative [expr {-9007199254740993}]
set real [expr {1.5}]
set text "it's za\u017c\u00f3\u0142\u0107"
set key "\u65e5\u672c"
# Tcl 8.6 keeps characters beyond U+FFFF as two: their bytes are sent instead.
set emoji [binary format H* f09f9880f09d849e]
set blob [binary format H* 00ff10]
db transaction {
    foreach table {t o} {
        db eval "INSERT INTO $table VALUES ('integer', \$integer[expr {$table eq {t} ? {, 7} : {}}])"
        db eval "INSERT INTO $table\(k, v) VALUES ('negative', \$negative), ('real', \$real), ('text', \$text), (\$key, CAST(@emoji AS TEXT)), ('blob', @blob), ('null', \$unset)"
    }
}
db eval {SELECT k, v, typeof(v) AS kind FROM t ORDER BY k} row {
    if {$row(k) eq $key} {
        puts "row $row(k) [encoding convertfrom utf-8 [db onecolumn {SELECT CAST(typeof(v) || ' ' || quote(v) AS BLOB) FROM t WHERE k = $key}]]"
        continue
    }
    unset -nocomplain v
    if {$row(kind) ne "null"} {set v $row(v)}
    puts "row $row(k) [db onecolumn {SELECT typeof($v) || ' ' || quote($v)}]"
}
catch {db transaction {
    db eval {DELETE FROM t; INSERT INTO o VALUES ('lost', 1)}
    error undo
}}
say rollback db $counts
db transaction {db eval {INSERT INTO t(k, v) VALUES ('c', 1); INSERT INTO o VALUES ('c', 1)}}
say commit db $counts
db eval {BEGIN; INSERT INTO t(k) VALUES ('d'); SAVEPOINT s; DELETE FROM t; INSERT INTO t(k) VALUES ('lost'); ROLLBACK TO s; RELEASE s; COMMIT}
say savepoint db $counts
puts "error [refused db {INSERT INTO t(k) VALUES ('c')}]"
db close

connect db $extension 10000
say reopened db $counts
connect other $extension 0
other eval {INSERT INTO t(k) VALUES ('second')}
say second db $counts
db eval {BEGIN IMMEDIATE; INSERT INTO t(k) VALUES ('undone')}
puts "error [refused other {INSERT INTO t(k) VALUES ('busy')}]"
db eval {ROLLBACK}
other close

if {![catch {package require Thread}]} {
    set thread [thread::create -joinable]
    thread::send -async $thread [list set extension $extension]
    thread::send $thread {
        package require sqlite3
        sqlite3 mine test.db
        mine timeout 10000
        mine enable_load_extension 1
        mine eval {SELECT load_extension($extension)}
        mine transaction {
            for {set n 0} {$n < 100} {incr n} {
                set k "thread $n"
                mine eval {INSERT INTO t(k) VALUES ($k)}
            }
        }
        mine close
    }
    thread::release $thread
    thread::join $thread
    say thread db {SELECT count(*) FROM t WHERE k LIKE 'thread%'}
}

db eval {DELETE FROM t WHERE k LIKE 'thread%'}
say check db {SELECT lsm_check() || ' ' || count(*) FROM t}
db close

connect db $extension 10000
db eval {INSERT INTO t(k) VALUES ('left open')}
puts {left open}
