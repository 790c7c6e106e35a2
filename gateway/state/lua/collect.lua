-- Collect deliveries that are due, and have them lent: each is due again when its loan ends. An endpoint, and a team,
-- have only so many on their way, whoever collects, so that a slow one delays nobody else.
-- KEYS  1 endpoints, by when something is due there
-- ARGV  1 now · 2 prefix of webhooks' names (it carries the hash tag: same slot) · 3 most deliveries
--       · 4 ms of a loan · 5 most on their way of an endpoint · 6 of a team
--       · 7 ms after which an endpoint that has as many is looked at again
-- Gives {'ok', now, {its endpoint's document, end of the loan, {field, value, …}, …}}.
-- Operation id: none is needed. What a lost reply held is due again when its loan ends.
local now, most, found = clock(ARGV[1]), tonumber(ARGV[3]), {}
local until_ = now + ARGV[4]

local function on_their_way(lent)
  redis.call('ZREMRANGEBYSCORE', lent, '-inf', text(now))
  return redis.call('ZCARD', lent)
end

local function lend(room, team, document, message)
  local held = delivery(room, message)
  if redis.call('EXISTS', held) == 0 then
    redis.call('ZREM', room.queue, message)
    return
  end
  redis.call('ZADD', room.queue, text(until_), message)
  redis.call('ZADD', room.lent, text(until_), message)
  redis.call('ZADD', team_lent(room, team), text(until_), room.id .. ':' .. message)
  for _, part in ipairs({document, until_, redis.call('HGETALL', held)}) do found[#found + 1] = part end
  most = most - 1
end

for _, endpoint in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, 100)) do
  if most <= 0 then break end
  local room = rooms(ARGV[2], endpoint)
  local met = redis.call('HMGET', room.record, 'team', 'document')
  if not met[1] then
    redis.call('ZREM', KEYS[1], endpoint)
  else
    local places = math.min(most, ARGV[5] - on_their_way(room.lent), ARGV[6] - on_their_way(team_lent(room, met[1])))
    if places <= 0 then
      redis.call('ZADD', KEYS[1], text(now + ARGV[7]), endpoint)
    else
      for _, message in ipairs(redis.call('ZRANGEBYSCORE', room.queue, '-inf', text(now), 'LIMIT', 0, places)) do
        lend(room, met[1], met[2], message)
      end
      wake(room, now)
    end
  end
end
return {'ok', now, found}
