(* OCaml, library sqlite3. *)
open Sqlite3

let extension = Sys.argv.(1)
let counts = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)"

let rows db sql values =
  let statement = prepare db sql in
  List.iteri (fun i v -> Rc.check (bind statement (i + 1) v)) values;
  let rec all found =
    match step statement with
    | Rc.ROW -> all (row_data statement :: found)
    | Rc.DONE -> List.rev found
    | _ -> let said = errmsg db in ignore (finalize statement); failwith said in
  let found = all [] in
  Rc.check (finalize statement);
  found

let one ?(values = []) db sql = Data.to_string_coerce (List.hd (rows db sql values)).(0)
let run db = List.iter (fun sql -> ignore (rows db sql []))
let refused db sql = try ignore (rows db sql []); "no error" with Failure said -> said

let connect timeout =
  let db = db_open "test.db" in
  busy_timeout db timeout;
  if not (enable_load_extension db true) then failwith "extensions cannot be loaded";
  ignore (rows db "SELECT load_extension(?)" [Data.TEXT extension]);
  db

let insert_rows () =
  let db = connect 10000 in
  run db ["BEGIN"];
  for n = 0 to 99 do ignore (rows db "INSERT INTO t(k) VALUES (?)" [Data.TEXT (Printf.sprintf "thread %d" n)]) done;
  run db ["COMMIT"];
  assert (db_close db)

let data = Data.[ "integer", INT Int64.max_int; "negative", INT (-9007199254740993L); "real", FLOAT 1.5; "text", TEXT "it's zażółć"; "日本", TEXT "😀𝄞";
                  "blob", BLOB "\x00\xff\x10"; "null", NULL ]

let say word text = Printf.printf "%s %s\n%!" word text

let () =
  let db = connect 10000 in
  say "sqlite" (one db "SELECT sqlite_version()");
  ignore (one db "PRAGMA journal_mode = WAL");
  run db ["CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))"; "CREATE TABLE o(k TEXT PRIMARY KEY, v)"; "BEGIN"];
  List.iter (fun table -> List.iter (fun (k, v) -> ignore (rows db ("INSERT INTO " ^ table ^ "(k, v) VALUES (?, ?)") [Data.TEXT k; v])) data) ["t"; "o"];
  run db ["COMMIT"];
  List.iter (fun row -> say ("row " ^ Data.to_string_coerce row.(0)) (one db "SELECT typeof(?1) || ' ' || quote(?1)" ~values:[row.(1)]))
    (rows db "SELECT k, v FROM t ORDER BY k" []);
  run db ["BEGIN"; "DELETE FROM t"; "INSERT INTO o VALUES ('lost', 1)"; "ROLLBACK"];
  say "rollback" (one db counts);
  run db ["BEGIN"; "INSERT INTO t(k, v) VALUES ('c', 1)"; "INSERT INTO o VALUES ('c', 1)"; "COMMIT"];
  say "commit" (one db counts);
  run db ["BEGIN"; "INSERT INTO t(k) VALUES ('d')"; "SAVEPOINT s"; "DELETE FROM t"; "INSERT INTO t(k) VALUES ('lost')"; "ROLLBACK TO s"; "RELEASE s"; "COMMIT"];
  say "savepoint" (one db counts);
  say "error" (refused db "INSERT INTO t(k) VALUES ('c')");
  assert (db_close db);

  let db = connect 10000 in
  say "reopened" (one db counts);
  let other = connect 0 in
  run other ["INSERT INTO t(k) VALUES ('second')"];
  say "second" (one db counts);
  run db ["BEGIN IMMEDIATE"; "INSERT INTO t(k) VALUES ('undone')"];
  say "error" (refused other "INSERT INTO t(k) VALUES ('busy')");
  run db ["ROLLBACK"];
  assert (db_close other);

  (* Before the first thread: a process with threads may not be forked. *)
  (match Unix.fork () with
   | 0 -> Unix._exit (if Str.string_match (Str.regexp ".*before fork") (refused db "SELECT count(*) FROM t") 0 then 0 else 1)
   | child ->
     let word = if snd (Unix.waitpid [] child) = Unix.WEXITED 0 then "refused" else "allowed" in
     run db ["INSERT INTO t(k) VALUES ('forked')"];
     let forked = Printf.sprintf "%s %s" word (one db "SELECT count(*) FROM t WHERE k = 'forked'") in
     Thread.join (Thread.create insert_rows ());
     say "thread" (one db "SELECT count(*) FROM t WHERE k LIKE 'thread%'");
     say "fork" forked);

  run db ["DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'"];
  say "check" (one db "SELECT lsm_check() || ' ' || count(*) FROM t");
  assert (db_close db);

  let db = connect 10000 in
  run db ["INSERT INTO t(k) VALUES ('left open')"];
  say "left" "open"
