-- Put before every step by the loader (Redis scripts cannot include one another). Only what several steps share.
-- Rule of every step: look first, write after. A refusal returns before the first write, so no step half happens.

-- Now, in ms: the server's own clock, or the time that a test hands in. Two hosts' clocks are never compared.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(ms) return string.format('%.0f', ms) end

local function set(...)
  local members = {}
  for _, member in ipairs({...}) do members[member] = true end
  return members
end

-- Forward only. What is not in these tables cannot happen.
local STATUS = {
  queued = set('running', 'failed', 'refused', 'cancelled'),
  running = set('succeeded', 'failed', 'refused', 'cancelled', 'unresolved'),
  unresolved = set('succeeded', 'failed', 'refused'),
  succeeded = set(), failed = set(), refused = set(), cancelled = set(),
}
local ATTEMPT = {
  intent = set('intent', 'accepted', 'unknown', 'settled', 'released', 'unresolved'),
  unknown = set('unknown', 'accepted', 'settled', 'released', 'unresolved'),
  accepted = set('accepted', 'settled', 'released', 'unresolved'),
  unresolved = set('settled', 'released'),
  settled = set(), released = set(),
}
local OPEN = set('intent', 'accepted', 'unknown')

local function illegal(words) return {'illegal', words} end

-- Owner and epoch together: a store that lost its last second may hand one epoch out twice, to two owners.
local function fence(edit, owner, epoch)
  local held = redis.call('HMGET', edit, 'owner', 'epoch')
  if held[1] == owner and held[2] == epoch then return nil end
  return {'fenced', held[1] or '', held[2] or ''}
end

-- An owner that never beat must still be able to die: an edit without a watched owner would be nobody's.
local function watch(replicas, owner, now) redis.call('ZADD', replicas, 'NX', text(now), owner) end

-- The number of the attempt that is still open, and its state; nil where none is.
local function open_attempt(edit)
  local count = tonumber(redis.call('HGET', edit, 'attempts') or '0')
  for number = 1, count do
    local state = redis.call('HGET', edit, 'state:' .. number)
    if OPEN[state] then return number, state end
  end
  return nil
end

-- How many attempts are open beside attempt `number`, and their price: it is theirs, whatever that one costs.
local function others(edit, number)
  local count, sum = 0, 0
  for other = 1, tonumber(redis.call('HGET', edit, 'attempts') or '0') do
    local found = redis.call('HMGET', edit, 'state:' .. other, 'price:' .. other)
    if OPEN[found[1]] and tostring(other) ~= number then
      count, sum = count + 1, sum + tonumber(found[2] or 0)
    end
  end
  return count, sum
end

local function member(id, number) return id .. '#' .. number end

-- A limit of '' is none. The member names the attempt, so taking it twice takes it once.
local function has_permit(permits, limit, name)
  if limit == '' or redis.call('SISMEMBER', permits, name) == 1 then return true end
  return redis.call('SCARD', permits) < tonumber(limit)
end

local function stamp_post(edit, number, now)
  redis.call('HSET', edit, 'posted:' .. number, text(now))
  redis.call('HSETNX', edit, 'first_posted:' .. number, text(now))
end

-- Writes a new attempt with its permit. The caller has looked.
local function write_open(edit, permits, limit, id, number, document, price, posting, now)
  redis.call('HSET', edit, 'status', 'running', 'attempts', number, 'attempt:' .. number, document,
    'price:' .. number, price, 'state:' .. number, 'intent', 'opened:' .. number, text(now))
  if posting == '1' then stamp_post(edit, number, now) end
  if limit ~= '' then
    redis.call('SADD', permits, member(id, number))
    redis.call('HSET', edit, 'permit:' .. number, permits)
  end
end

-- What closing an attempt would meet: nil (go on), 'repeat', or a refusal.
local function look_close(edit, number, state, document)
  local held = redis.call('HMGET', edit, 'state:' .. number, 'attempt:' .. number)
  if not held[1] then return illegal('attempt ' .. number .. ' was never opened') end
  if held[1] == state and held[2] == document then return 'repeat' end
  if OPEN[state] or not ATTEMPT[held[1]][state] then
    return illegal('attempt ' .. number .. ' is ' .. held[1] .. ' and cannot be closed as ' .. state)
  end
  return nil
end

-- Ends an attempt and frees its permit, whose key the record names (same hash tag, so same slot).
local function write_close(edit, id, number, state, document, now)
  redis.call('HSET', edit, 'attempt:' .. number, document, 'state:' .. number, state, 'closed:' .. number, text(now))
  local permits = redis.call('HGET', edit, 'permit:' .. number)
  if permits then
    redis.call('SREM', permits, member(id, number))
    redis.call('HDEL', edit, 'permit:' .. number)
  end
end
