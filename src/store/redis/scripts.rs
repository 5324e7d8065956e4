//! What Redis does for us, in its own language.
//!
//! `KEYS[1]` is the format's, `ARGV[1]` the id that it should have. Every script answers `{'ok', …}`, or
//! `{'damaged', n, why}` where what is at `KEYS[n]` is not ours; then it has changed nothing. Numbers stay under 2⁵³,
//! which Lua counts exactly.

use redis::Script;

pub(super) struct Scripts {
    /// ARGV: a new id, our format → format, id
    pub begin: Script,
    /// KEYS: values → each: none, or version and value
    pub values: Script,
    /// KEYS: names; ARGV: a prefix → names
    pub names: Script,
    /// KEYS: value, names; ARGV: expected version, name, value → version, or none where it was another
    pub put: Script,
    /// KEYS: value, names; ARGV: expected version, name → version, or none where it was another
    pub delete: Script,
    /// KEYS: counter; ARGV: cap, wanted, life in ms → granted, total
    pub take: Script,
    /// KEYS: counter; ARGV: how much
    pub give_back: Script,
    /// KEYS: counters; ARGV: life in ms, how much of each
    pub add: Script,
    /// KEYS: counters → counts
    pub counts: Script,
    /// KEYS: buckets; ARGV of each: how many fields to set and to take away, the former with their values, the latter
    pub set_cells: Script,
    /// KEYS: buckets; ARGV of each: how many fields, each with the value that it was seen to have → how many went
    pub remove_cells: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let guard = guard();
        let script = |code: &str| Script::new(&format!("{HELPERS}{guard}{code}"));
        Self {
            begin: Script::new(&format!("{HELPERS}{BEGIN}")),
            values: script(VALUES),
            names: script(NAMES),
            put: script(PUT),
            delete: script(DELETE),
            take: script(TAKE),
            give_back: script(GIVE_BACK),
            add: script(ADD),
            counts: script(COUNTS),
            set_cells: script(&format!("{BUCKETS}{SET_CELLS}")),
            remove_cells: script(&format!("{BUCKETS}{REMOVE_CELLS}")),
        }
    }
}

const HELPERS: &str = r"
local function text(n) return string.format('%.0f', n) end
local function failed(n, reply) return {'damaged', n, (string.gsub(reply.err, ' script:.*', ''))} end
local function bad(n, held, what) return {'damaged', n, 'it is ' .. string.format('%q', string.sub(held, 1, 40)) .. ', which is no ' .. what} end
local function whole(held) return #held <= 16 and string.match(held, '^%d+$') end

-- The counter at KEYS[n], 0 where there is none; or what is wrong.
local function count(n)
  local held = redis.pcall('GET', KEYS[n])
  if type(held) == 'table' then return 0, failed(n, held) end
  if not held then return 0 end
  if not whole(held) then return 0, bad(n, held, 'count') end
  return tonumber(held)
end

-- The version (0 where there is none) and the value at KEYS[n]; or what is wrong.
local function value(n)
  local held = redis.pcall('HMGET', KEYS[n], 'version', 'value')
  if held.err then return 0, '', failed(n, held) end
  if not held[1] and not held[2] then
    if redis.call('EXISTS', KEYS[n]) == 0 then return 0, '' end
    return 0, '', {'damaged', n, 'it has neither version nor value'}
  end
  if not held[1] or not held[2] then return 0, '', {'damaged', n, 'it has no version, or no value'} end
  if not whole(held[1]) or held[1] == '0' then return 0, '', bad(n, held[1], 'version') end
  return tonumber(held[1]), held[2]
end

-- Raises the counter at KEYS[n] and makes it live at least so long.
local function raise(n, by, life)
  redis.call('INCRBY', KEYS[n], text(by))
  if redis.call('PTTL', KEYS[n]) < tonumber(life) then redis.call('PEXPIRE', KEYS[n], life) end
end
";

/// What is said where the id is not the one that it was.
pub(super) const LOST: &str = "Redis has lost what it held since the start, or this is another one. Put it back, or \
                               start Mailwright again to begin anew";

fn guard() -> String {
    format!(
        "if redis.pcall('HGET', KEYS[1], 'id') ~= ARGV[1] then return {{'damaged', 1, '{LOST}'}} end\n"
    )
}

const BEGIN: &str = r"
local held = redis.pcall('HMGET', KEYS[1], 'format', 'id')
if held.err then return failed(1, held) end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[2], 'id', ARGV[1])
  held = {ARGV[2], ARGV[1]}
end
if not held[1] or not held[2] then return {'damaged', 1, 'it has no format, or no id'} end
return {'ok', held}
";

const VALUES: &str = r"
local found = {}
for n = 2, #KEYS do
  local version, held, wrong = value(n)
  if wrong then return wrong end
  found[n - 1] = version > 0 and {version, held}
end
return {'ok', found}
";

// Names are UTF-8, in which no octet is 255.
const NAMES: &str = r"
local found = redis.pcall('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[2], '(' .. ARGV[2] .. '\255')
if found.err then return failed(2, found) end
return {'ok', found}
";

const PUT: &str = r"
local version, held, wrong = value(2)
if wrong then return wrong end
if version ~= tonumber(ARGV[2]) then return {'ok', false} end
local named = redis.pcall('ZADD', KEYS[3], 0, ARGV[3])
if type(named) == 'table' then return failed(3, named) end
redis.call('HSET', KEYS[2], 'version', text(version + 1), 'value', ARGV[4])
return {'ok', version + 1}
";

const DELETE: &str = r"
local version, held, wrong = value(2)
if wrong then return wrong end
if version ~= tonumber(ARGV[2]) then return {'ok', false} end
local named = redis.pcall('ZREM', KEYS[3], ARGV[3])
if type(named) == 'table' then return failed(3, named) end
redis.call('DEL', KEYS[2])
return {'ok', version}
";

const TAKE: &str = r"
local total, wrong = count(2)
if wrong then return wrong end
local granted = math.min(tonumber(ARGV[3]), math.max(0, tonumber(ARGV[2]) - total))
if granted > 0 then raise(2, granted, ARGV[4]) end
return {'ok', {granted, total + granted}}
";

const GIVE_BACK: &str = r"
local total, wrong = count(2)
if wrong then return wrong end
local back = math.min(tonumber(ARGV[2]), total)
if back > 0 then redis.call('DECRBY', KEYS[2], text(back)) end
return {'ok'}
";

const ADD: &str = r"
for n = 2, #KEYS do
  local _, wrong = count(n)
  if wrong then return wrong end
end
for n = 2, #KEYS do
  local total = count(n)
  raise(n, math.max(0, math.min(tonumber(ARGV[n + 1]), 9007199254740991 - total)), ARGV[2])
end
return {'ok'}
";

const COUNTS: &str = r"
local found = {}
for n = 2, #KEYS do
  local total, wrong = count(n)
  if wrong then return wrong end
  found[n - 1] = total
end
return {'ok', found}
";

// Types are looked at before the first change, so that a bucket that is none leaves all as it was.
const BUCKETS: &str = r"
for n = 2, #KEYS do
  local kind = redis.call('TYPE', KEYS[n]).ok
  if kind ~= 'hash' and kind ~= 'none' then return {'damaged', n, 'it is a ' .. kind .. ', not a bucket'} end
end
local at = 2
";

const SET_CELLS: &str = r"
for n = 2, #KEYS do
  local set, take = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  if set > 0 then redis.call('HSET', KEYS[n], unpack(ARGV, at, at + 2 * set - 1)) end
  at = at + 2 * set
  if take > 0 then redis.call('HDEL', KEYS[n], unpack(ARGV, at, at + take - 1)) end
  at = at + take
end
return {'ok'}
";

const REMOVE_CELLS: &str = r"
local gone = 0
for n = 2, #KEYS do
  for field = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
    if redis.call('HGET', KEYS[n], ARGV[field]) == ARGV[field + 1] then
      gone = gone + redis.call('HDEL', KEYS[n], ARGV[field])
    end
  end
  at = at + 1 + 2 * tonumber(ARGV[at])
end
return {'ok', gone}
";
