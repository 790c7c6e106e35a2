-- Put after money.lua before every step: what begins when an edit has ended. A TTL only sweeps, an hour after the
-- stored time that counts.
local DAY, LATER = 86400000, 3600000

local CONCLUDED = set('succeeded', 'failed', 'refused', 'cancelled')

-- Whether an attempt is unresolved, once attempt `number` (may be '') is `state`.
local function any_unresolved(edit, number, state)
  for each = 1, tonumber(redis.call('HGET', edit, 'attempts') or '0') do
    local now = tostring(each) == number and state or redis.call('HGET', edit, 'state:' .. each)
    if now == 'unresolved' then return true end
  end
  return false
end

-- Money that is held for an unresolved attempt is in sight until truth or an operator ends it.
local function list_unresolved(unresolved, edit, id, now)
  if any_unresolved(edit, '') then redis.call('ZADD', unresolved, 'NX', text(now), id)
  else redis.call('ZREM', unresolved, id) end
end

-- From here on the claim leads to the edit: for `life` ms, or with '' for as long as the edit needs, and a day more.
local function keep_claim(edit, id, claim, token, fingerprint, life, now)
  redis.call('HSET', claim, 'token', token, 'fingerprint', fingerprint, 'edit', id,
    'ends', life == '' and '' or text(now + life))
  if life == '' then redis.call('PERSIST', claim) else redis.call('PEXPIRE', claim, life + LATER) end
  redis.call('HSET', edit, 'claim', claim)
end

-- At a terminal state the 24 h of the idempotency key begin, and those of a refusal.
local function conclude(edit, id, status, now)
  if status == 'unresolved' then return end
  local names = redis.call('HMGET', edit, 'claim', 'refusal')
  local claimed = names[1] and names[1] ~= '' and redis.call('HMGET', names[1], 'edit', 'ends')
  if claimed and claimed[1] == id and claimed[2] == '' then
    redis.call('HSET', names[1], 'ends', text(now + DAY))
    redis.call('PEXPIRE', names[1], DAY + LATER)
  end
  if status == 'refused' and names[2] then redis.call('SET', names[2], text(now + DAY), 'PX', DAY + LATER) end
end

-- Its team's list forgets an edit with its record. `listed` says of every team's which leave, and when.
local MOST_SWEPT = 10
local function unlist(listed, edit, id, keep, now)
  local list = redis.call('HGET', edit, 'list')
  if list then redis.call('ZADD', listed, text(now + keep), list .. ' ' .. id) end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', listed, '-inf', text(now), 'LIMIT', 0, MOST_SWEPT)) do
    local from, gone = string.match(name, '^(.*) (%S+)$')
    redis.call('ZREM', from, gone)
    redis.call('ZREM', listed, name)
  end
end

-- A record that still holds money has no TTL. What it told is kept an hour longer than its end.
local function expire(listed, edit, id, status, keep, now)
  if status == 'unresolved' or any_unresolved(edit, '') then return end
  redis.call('PEXPIRE', edit, keep)
  local events = redis.call('HGET', edit, 'events')
  if events then redis.call('PEXPIRE', events, LATER) end
  unlist(listed, edit, id, keep, now)
end
