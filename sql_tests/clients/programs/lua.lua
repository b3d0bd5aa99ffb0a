-- Lua: neither LuaSQL nor LuaDBI lets extensions be loaded. Tries it, and says what it is told.
local sql = require('luasql.sqlite3')
local db = sql.sqlite3():connect('test.db')
local result, message = db:execute("SELECT load_extension('" .. arg[1] .. "')")
if result and type(result) ~= 'number' then result, message = result:fetch() end
print(message or result)
