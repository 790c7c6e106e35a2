-- Put after ending.lua before every step: what a step tells of its edit, for whoever follows it.
-- `lines` are events, each a name, a space and a JSON document. The record names the stream; one without was made by a
-- release that told nothing.
local MOST_EVENTS = 200

local function tell(edit, lines)
  local events = redis.call('HGET', edit, 'events')
  if not events then return end
  for name, data in string.gmatch(lines, '(%S+) ([^\n]+)') do
    redis.call('XADD', events, 'MAXLEN', '~', MOST_EVENTS, '*', 'name', name, 'data', data)
  end
end
