-- What a script finds around itself. Runs once in a new interpreter, before anything from outside, and is given what
-- is written in Rust; returns how scripts are run.
-- Always: a script reaches no table of these by itself, only proxies that refuse to be written. Nothing below looks
-- at a global.
local native, is_library = ...

local outer = _G
local type, select, tostring, tonumber = type, select, tostring, tonumber
local error, pcall, xpcall = error, pcall, xpcall
local next, rawget, rawset = next, rawget, rawset
local setmetatable, getmetatable = setmetatable, getmetatable
local setfenv, getfenv, loadstring = setfenv, getfenv, loadstring
local collectgarbage, newproxy = collectgarbage, newproxy
local insert, concat = table.insert, table.concat
local byte, find, gsub = string.byte, string.find, string.gsub
local open = native.open

-- The last status OK that a script got, as a table; another one once a metatable has been set.
local okay = {}

-- The last table without a metatable that was raised.
local raised

-- The globals as scripts see them, and as they are.
local globals, base = {}, {}
setfenv(1, globals)

-- Behind each proxy, the table that it shows.
local shown = {}

local function refuse_write()
  error('Attempt to modify a readonly table', 2)
end

local function refuse_unknown(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local function protect(proxy, table, metatable)
  shown[proxy] = table
  metatable.__index, metatable.__newindex = table, refuse_write
  return setmetatable(proxy, metatable)
end

-- What is shown as the metatable of the globals.
local locked = protect({}, {}, {})

local function library(table)
  return protect({}, table, {})
end

-- Errors that are told as a table, with a code.
local function coded(text)
  if not find(text, ' ', 1, true) then
    text = 'ERR ' .. text
  end
  return { err = (gsub(gsub(text, '[\r\n]+$', ''), '^(%S* )[\r\n]+', '%1')) }
end

-- Of a table that ends a run nothing is known outside but where it is.
local function raise(failure)
  raised = failure
  error(failure, 0)
end

local function fail(text)
  raise({ err = 'ERR ' .. text })
end

-- What a script calls has to be in C where it calls or raises: a function in Lua that is called last of all takes the
-- place of its caller, of which then nobody knows the line; and its environment could be set. `xpcall` puts C before its
-- handler: that is the handler's caller, and calls it with whatever it is called with. The handler is called at once,
-- and then has to return its caller.
local function behind_c(run)
  local _, front = xpcall(function()
    error('', 0)
  end, run)
  return front
end

-- The functions of Lua, those replaced that could write to what is shared.

for _, name in next, {
  'assert', 'gcinfo', 'ipairs', 'rawequal', 'select', 'tonumber', 'tostring', 'type', 'unpack',
  '_VERSION',
} do
  base[name] = outer[name]
end
base._G = globals

local raises = false
base.error = behind_c(function(value, level)
  if not raises then
    local _, front = native.caller()
    return front
  elseif type(value) == 'table' then
    if getmetatable(value) ~= nil then
      native.raise(value)
    end
    raise(value)
  end
  level = level == nil and 1 or tonumber(level) or 1
  error(value, level > 0 and level + 2 or 0)
end)
raises = true

local function settle(is_fine, ...)
  if is_fine then
    return true, ...
  end
  local reason = open(...)
  if type(reason) == 'table' then
    local text = reason.err
    if type(text) == 'string' or type(text) == 'number' then
      return false, text
    end
  end
  return false, reason
end

function base.pcall(...)
  if select('#', ...) == 0 then
    error("bad argument #1 to 'pcall' (value expected)", 2)
  end
  return settle(pcall(...))
end

function base.xpcall(run, handler)
  return xpcall(run, function(reason)
    return handler(open(reason))
  end)
end

function base.rawget(table, key)
  return rawget(shown[table] or table, key)
end

function base.rawset(table, key, value)
  if shown[table] then
    error('Attempt to modify a readonly table', 2)
  end
  return rawset(table, key, value)
end

function base.setmetatable(table, metatable)
  if shown[table] then
    error('Attempt to modify a readonly table', 2)
  end
  okay = {}
  return setmetatable(table, metatable)
end

function base.getmetatable(value)
  if value == globals then
    return locked
  elseif shown[value] then
    return nil
  end
  return getmetatable(value)
end

function base.next(table, key)
  return next(shown[table] or table, key)
end

function base.pairs(table)
  if type(table) ~= 'table' then
    error("bad argument #1 to 'pairs' (table expected, got " .. (table == nil and 'nil' or type(table)) .. ')', 2)
  end
  local behind = shown[table]
  if behind then
    table = {}
    for key, value in next, behind do
      table[key] = value
    end
  end
  return next, table, nil
end

local function level_of(target)
  local level = tonumber(target)
  return level and level > 0 and level + 1 or target
end

function base.getfenv(target)
  local found = getfenv(level_of(target == nil and 1 or target))
  return found
end

function base.setfenv(target, environment)
  if tonumber(target) == 0 then
    error('Attempt to modify a readonly table', 2)
  end
  local changed = setfenv(level_of(target), environment)
  return changed
end

-- Only text: what is compiled already could be anything.
function base.loadstring(text, name)
  if type(text) == 'string' and byte(text, 1) == 27 then
    return nil, 'attempt to load precompiled code'
  end
  return loadstring(text, name)
end

function base.load(read, name)
  if type(read) ~= 'function' then
    error("bad argument #1 to 'load' (function expected, got " .. type(read) .. ')', 2)
  end
  local pieces = {}
  while true do
    local piece = read()
    if piece == nil or piece == '' then
      break
    elseif type(piece) ~= 'string' then
      return nil, 'reader function must return a string'
    end
    pieces[#pieces + 1] = piece
  end
  return base.loadstring(concat(pieces), name == nil and '=(load)' or name)
end

-- What would outlast the script is left as it is.
function base.collectgarbage(what, argument)
  if what == nil or what == 'collect' or what == 'count' or what == 'step' then
    return collectgarbage(what, argument)
  end
  return 0
end

-- No metatable: nothing of a script runs after its end.
function base.newproxy()
  return newproxy(false)
end

-- Libraries.

local function copy_of(table)
  local copy = {}
  for key, value in next, table do
    copy[key] = value
  end
  return copy
end

local table_library = copy_of(outer.table)
function table_library.insert(table, ...)
  if shown[table] then
    error('Attempt to modify a readonly table', 2)
  elseif type(table) ~= 'table' then
    error("bad argument #1 to 'insert' (table expected, got " .. (table == nil and 'nil' or type(table)) .. ')', 2)
  end
  return insert(table, ...)
end

local math_library = copy_of(outer.math)
math_library.random, math_library.randomseed = native.random, native.randomseed

local function opened(is_fine, ...)
  if is_fine then
    return true, ...
  end
  return false, open(...)
end

local coroutine_library = copy_of(outer.coroutine)
local resume = outer.coroutine.resume
function coroutine_library.resume(...)
  return opened(resume(...))
end

local function json_library()
  local json = native.json()
  json._NAME, json._VERSION, json.new = 'cjson', '2.1.0', json_library
  return json
end

local pack_library = native.cmsgpack
pack_library._NAME, pack_library._VERSION = 'cmsgpack', 'lua-cmsgpack 0.4.0'
pack_library._COPYRIGHT, pack_library._DESCRIPTION = '', 'MessagePack for Lua'

base.string = library(copy_of(outer.string))
base.table = library(table_library)
base.math = library(math_library)
base.coroutine = library(coroutine_library)
base.cjson = library(json_library())
base.cmsgpack = library(pack_library)
base.struct = library(native.struct)
base.bit = library(native.bit)
getmetatable('').__metatable = protect({}, { __index = base.string }, {})

-- redis.

local versions = { REDIS_VERSION = native.version, REDIS_VERSION_NUM = native.version_number }
local logging = { log = native.log, LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3 }

local redis = copy_of(logging)
for key, value in next, versions do
  redis[key] = value
end
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3

-- Commands. A word is a string; numbers are written as such, short whole ones but once.

local send, send_sure, gather = native.caller, native.send_sure, native.gather
local number_text, numerals = native.number_text, {}

-- The text of what is a number.
local function numeral(number)
  if type(number) ~= 'number' then
    return nil
  end
  local _, text = number_text(number)
  if number > -1000 and number < 1000 and number % 1 == 0 then
    numerals[number] = text
  end
  return text
end

local function send_many(count, ...)
  local words = { ... }
  for index = 1, count do
    local word = words[index]
    if type(word) ~= 'string' then
      words[index] = numerals[word] or numeral(word)
      if not words[index] then
        return 3, 'ERR Lua redis lib command arguments must be strings or integers'
      end
    end
  end
  for index = 1, count, 4 do
    gather(index == 1, words[index], words[index + 1], words[index + 2], words[index + 3])
  end
  return send_sure()
end

-- How many calls are still to be made carefully at once: where one has numbers, others have some too.
local careful = 0

-- Sends what has words that are numbers, or look like some, or are no words. Returns what came of it: see `calling`.
local function send_carefully(count, ...)
  local a, b, c, d = ...
  careful = careful - 1
  if careful == 0 then
    send = native.send
  end
  if count == 0 then
    return 3, 'ERR Please specify at least one argument for this redis lib call'
  elseif count > 4 then
    return send_many(count, ...)
  end
  if type(a) ~= 'string' then
    a = numerals[a] or numeral(a)
  end
  if count > 1 and type(b) ~= 'string' then
    b = numerals[b] or numeral(b)
  end
  if count > 2 and type(c) ~= 'string' then
    c = numerals[c] or numeral(c)
  end
  if count > 3 and type(d) ~= 'string' then
    d = numerals[d] or numeral(d)
  end
  if not (a and (count < 2 or b) and (count < 3 or c) and (count < 4 or d)) then
    return 3, 'ERR Lua redis lib command arguments must be strings or integers'
  end
  return send_sure(a, b, c, d)
end

-- A function that has a command run. What came of it, and then:
-- 0, a reply: the value; 1, a status: its text; 4, the status OK; 2 and 3, an error: its text; that of 2 is counted.
local function calling(fail)
  local function finish(kind, value)
    if kind == 0 then
      return value
    elseif kind == 4 then
      okay = { ok = 'OK' }
      return okay
    elseif kind == 1 then
      return { ok = value }
    end
    return fail({ err = value, ignore_error_stats_update = kind == 2 or nil })
  end
  return function(...)
    local kind, value = send(select('#', ...), ...)
    if kind == 0 then
      return value
    elseif kind == 4 then
      local status = { ok = 'OK' }
      okay = status
      return status
    elseif kind == 5 then
      careful, send = 16, send_carefully
      return finish(send_carefully(select('#', ...), ...))
    end
    return finish(kind, value)
  end
end

redis.call = behind_c(calling(raise))
redis.pcall = behind_c(calling(function(failure)
  return failure
end))
send = native.send

for _, name in next, { 'acl_check_cmd', 'set_repl', 'setresp', 'sha1hex' } do
  redis[name] = native[name]
end

function redis.error_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then
    return { err = 'ERR wrong number or type of arguments' }
  end
  return coded((gsub(text, '^%-', '')))
end

function redis.status_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then
    return { err = 'ERR wrong number or type of arguments' }
  end
  return { ok = text }
end

if not is_library then
  function redis.breakpoint()
    return false
  end

  function redis.debug() end

  -- A script that is stepped through calls the last one before each statement.
  if native.stop then
    redis.breakpoint, redis.debug, base.tenon_stop = native.breakpoint, native.debug, native.stop
  end

  function redis.replicate_commands()
    return true
  end
end

-- C that calls Lua has no room for the 8,000 words that `unpack` can come to: scripts that may do so find other functions
-- in the place of these, which are slower.
local wide = copy_of(redis)
wide.call, wide.pcall = native.call, native.pcall
local redis_library, wide_library = library(redis), library(wide)
base.redis = redis_library

local global_metatable = { __metatable = locked }
protect(globals, base, global_metatable)
setmetatable(base, { __index = refuse_unknown })

-- Scripts that assign to nothing that is shared find what is behind the proxies, without a detour.

local bare = {}
for name, value in next, base do
  local behind = shown[value]
  if behind and value ~= globals then
    shown[behind], value = behind, behind
  end
  bare[name] = value
end
-- The same with the tables of keys and arguments that are used again.
local again_keys, again_arguments = {}, {}
local lasting = copy_of(bare)
lasting.KEYS, lasting.ARGV = again_keys, again_arguments
local function seal(environment)
  shown[environment] = environment
  setmetatable(environment, { __index = base, __newindex = refuse_write, __metatable = locked })
end
seal(bare)
seal(lasting)

-- How scripts are run.

local runner = {}

-- What came of a run, and then:
-- 1, a value: the value; 4, the same of a table that is nothing but an array.
-- 2, a short string, and 3, a status: nothing, and the text, which so is read without a handle; 5, the status OK.
local function outcome(kind, value)
  if kind == 'string' then
    if #value <= 1024 then
      return 2, nil, value
    end
  elseif kind == 'table' and getmetatable(value) == nil and value.err == nil then
    local text = value.ok
    if type(text) == 'string' then
      return 3, nil, text
    elseif
      value.double == nil
      and value.big_number == nil
      and value.verbatim_string == nil
      and value.map == nil
      and value.set == nil
    then
      return 4, value
    end
  end
  return 1, value
end

local function finish(value)
  -- OK is mostly returned as it came. It has no metatable, so it can be looked at without a script's code running.
  if value == okay and value.ok == 'OK' and value.err == nil then
    return 5
  end
  local kind = type(value)
  if kind == 'string' and #value <= 1024 then
    return 2, nil, value
  end
  return outcome(kind, value)
end

-- Each kind of run is there with at most one key and one argument, with at most two of each, with so many keys and the
-- arguments behind them, and with a table of each. A nil at the end leaves no trace in a table.

function runner.script_one(run, key, first)
  base.KEYS, base.ARGV = { key }, { first }
  return finish(run())
end

function runner.script_two(run, key, other, first, second)
  base.KEYS, base.ARGV = { key, other }, { first, second }
  return finish(run())
end

function runner.script_0(run, ...)
  base.KEYS, base.ARGV = {}, { ... }
  return finish(run())
end

function runner.script_1(run, key, ...)
  base.KEYS, base.ARGV = { key }, { ... }
  return finish(run())
end

function runner.script_2(run, key, other, ...)
  base.KEYS, base.ARGV = { key, other }, { ... }
  return finish(run())
end

function runner.script_many(run, keys, arguments)
  base.KEYS, base.ARGV = keys, arguments
  return finish(run())
end

function runner.callback_one(run, key, first)
  return finish(run({ key }, { first }))
end

function runner.callback_two(run, key, other, first, second)
  return finish(run({ key, other }, { first, second }))
end

function runner.callback_0(run, ...)
  return finish(run({}, { ... }))
end

function runner.callback_1(run, key, ...)
  return finish(run({ key }, { ... }))
end

function runner.callback_2(run, key, other, ...)
  return finish(run({ key, other }, { ... }))
end

function runner.callback_many(run, keys, arguments)
  return finish(run(keys, arguments))
end

-- What leaves its tables as it finds them has the same ones in turn: what was not given this time has to go.

function runner.script_one_again(run, key, first)
  again_keys[1] = key
  again_arguments[1] = first
  return finish(run())
end

function runner.script_two_again(run, key, other, first, second)
  again_keys[1], again_keys[2], again_arguments[1], again_arguments[2] = key, other, first, second
  return finish(run())
end

function runner.callback_one_again(run, key, first)
  again_keys[1] = key
  again_arguments[1] = first
  return finish(run(again_keys, again_arguments))
end

function runner.callback_two_again(run, key, other, first, second)
  again_keys[1], again_keys[2], again_arguments[1], again_arguments[2] = key, other, first, second
  return finish(run(again_keys, again_arguments))
end

-- Where something looks for what is shared.
function runner.look_in(run, place)
  if place == 'bare' then
    setfenv(run, bare)
  elseif place == 'lasting' then
    setfenv(run, lasting)
  end
end

-- The tables that scripts find: the keys, or those used again where there are none.
function runner.prepare(is_wide, keys, arguments)
  base.redis = is_wide and wide_library or redis_library
  rawset(lasting, 'KEYS', keys or again_keys)
  rawset(lasting, 'ARGV', arguments or again_arguments)
end

-- What the last run was ended with, if it was a table.
function runner.raised()
  local value = raised
  raised = nil
  return value
end

-- Libraries of functions: while one is loaded it finds nothing but what it takes to register functions.

local registered

local function read_flags(flags)
  local names, index = {}, 1
  while flags[index] ~= nil do
    local name = flags[index]
    if type(name) ~= 'string' or not native.is_flag(name) then
      fail('unknown flag given')
    end
    names[index], index = name, index + 1
  end
  return names
end

local function is_text(value)
  return type(value) == 'string' or type(value) == 'number'
end

local function read_named(arguments)
  if type(arguments) ~= 'table' then
    fail('calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).')
  end
  local found = {}
  for key, value in next, arguments do
    if not is_text(key) then
      fail('named argument key given to redis.register_function is not a string')
    end
    key = outer.string.lower(key)
    if key == 'function_name' then
      if not is_text(value) then
        fail('function_name argument given to redis.register_function must be a string')
      end
      found.name = tostring(value)
    elseif key == 'description' then
      if not is_text(value) then
        fail('description argument given to redis.register_function must be a string')
      end
      found.description = tostring(value)
    elseif key == 'callback' then
      if type(value) ~= 'function' then
        fail('callback argument given to redis.register_function must be a function')
      end
      found.callback = value
    elseif key == 'flags' then
      if type(value) ~= 'table' then
        fail('flags argument to redis.register_function must be a table representing function flags')
      end
      found.flags = read_flags(value)
    else
      fail('unknown argument given to redis.register_function')
    end
  end
  if not found.name then
    fail('redis.register_function must get a function name argument')
  elseif not found.callback then
    fail('redis.register_function must get a callback argument')
  end
  return found
end

local function register_function(...)
  if not registered then
    fail('redis.register_function can only be called on FUNCTION LOAD command')
  end
  local count, found = select('#', ...), nil
  if count < 1 or count > 2 then
    fail('wrong number of arguments to redis.register_function')
  elseif count == 1 then
    found = read_named(...)
  else
    local name, run = ...
    if not is_text(name) then
      fail('first argument to redis.register_function must be a string')
    elseif type(run) ~= 'function' then
      fail('second argument to redis.register_function must be a function')
    end
    found = { name = tostring(name), callback = run }
  end
  if not find(found.name, '^[%w_]+$') then
    fail('Library names can only contain letters, numbers, or underscores(_) and must be at least one character long')
  end
  for _, other in next, registered do
    if other.name == found.name then
      fail('Function already exists in the library')
    end
  end
  registered[#registered + 1] = found
end

local loading = copy_of(logging)
for key, value in next, versions do
  loading[key] = value
end
loading.register_function = register_function
setmetatable(loading, { __index = refuse_unknown })
local library_globals = setmetatable({ redis = library(loading) }, { __index = refuse_unknown })

-- Ends a loading, also one that was broken off.
function runner.end_load()
  global_metatable.__index, shown[globals], registered = base, base, nil
end

function runner.load(chunk)
  registered = {}
  global_metatable.__index, shown[globals] = library_globals, library_globals
  local is_fine, reason = pcall(chunk)
  local functions = registered
  reason = open(reason)
  runner.end_load()
  if is_fine then
    return true, functions
  elseif type(reason) == 'table' then
    return false, rawget(shown[reason] or reason, 'err')
  end
  return false, 'ERR ' .. tostring(reason)
end

runner.globals = globals
return runner
