-- Put after telling.lua before every step: webhooks. What an edit tells at its end is one message, which becomes one
-- delivery for each endpoint of its team that wants it, in the same step. Names below a prefix carry its hash tag.
-- A delivery lies in its endpoint's queue, by when it is due; one that is on its way is lent, and due again when the
-- loan ends, so that what a dead replica had is delivered by another one. `due` holds endpoints by their first delivery.
local KEPT = 604800000

local function rooms(prefix, endpoint)
  return {record = prefix .. 'endpoint:' .. endpoint, queue = prefix .. 'queue:' .. endpoint,
    lent = prefix .. 'lent:' .. endpoint, log = prefix .. 'log:' .. endpoint, due = prefix .. 'due',
    disabled = prefix .. 'disabled', prefix = prefix, id = endpoint}
end

local function delivery(room, message) return room.prefix .. 'delivery:' .. room.id .. ':' .. message end

local function team_endpoints(room, team) return room.prefix .. 'team:' .. team end

local function team_lent(room, team) return room.prefix .. 'lent:team:' .. team end

-- The endpoint is looked at when its first delivery is due; one that has more due than places, from now on: what lies
-- long before now in `due` is what nobody looks at.
local function wake(room, now)
  local first = redis.call('ZRANGE', room.queue, 0, 0, 'WITHSCORES')
  if not first[1] then return redis.call('ZREM', room.due, room.id) end
  return redis.call('ZADD', room.due, text(math.max(tonumber(first[2]), now)), room.id)
end

local function enqueue(room, message, at, now)
  redis.call('ZADD', room.queue, text(at), message)
  redis.call('HSET', delivery(room, message), 'queued', text(now), 'due', text(at))
  redis.call('ZADD', room.due, 'LT', text(at), room.id)
end

local function give_back_loan(room, team, message)
  redis.call('ZREM', room.lent, message)
  redis.call('ZREM', team_lent(room, team), room.id .. ':' .. message)
end

-- Nothing is sent there any more, until somebody enables it. What waits is kept for a week.
local function disable(room, team, reason, now)
  redis.call('HSET', room.record, 'disabled', text(now), 'reason', reason)
  redis.call('HSET', team_endpoints(room, team), room.id, 'disabled')
  redis.call('ZREM', room.due, room.id)
  redis.call('SADD', room.disabled, room.id)
  redis.call('PEXPIRE', room.queue, KEPT)
end

local function address(room, message, url, edit, event, data, now)
  local held = delivery(room, message)
  if redis.call('EXISTS', held) == 1 then return end
  redis.call('HSET', held, 'message', message, 'event', event, 'edit', edit, 'data', data, 'url', url,
    'state', 'pending', 'created', text(now), 'tries', 0, 'tries_before', 0)
  redis.call('PEXPIRE', held, KEPT)
  redis.call('ZADD', room.log, text(now), message)
  redis.call('ZREMRANGEBYSCORE', room.log, '-inf', text(now - KEPT))
  redis.call('PEXPIRE', room.log, KEPT)
  enqueue(room, message, now, now)
end

-- A mode is `all` or `named`, and after spaces the events that are wanted; none stands for every one.
local function wants(mode, event, is_named)
  local kind, chosen = string.match(mode, '^(%a+)(.*)$')
  if kind ~= 'all' and not (kind == 'named' and is_named) then return false end
  return chosen == '' or string.find(chosen .. ' ', ' ' .. event .. ' ', 1, true) ~= nil
end

-- `named`: the endpoint that the edit's own address lies under ('': none), and that address.
local function post(endpoints, prefix, edit, message, event, data, named, url, now)
  local found = redis.call('HGETALL', endpoints)
  for at = 1, #found, 2 do
    local endpoint, mode = found[at], found[at + 1]
    if wants(mode, event, endpoint == named) then
      address(rooms(prefix, endpoint), message, endpoint == named and url or '', edit, event, data, now)
    end
  end
end
