"""The four dashboards."""

from grafana import machine_room, money, overview, providers

BOARDS = (overview.BOARD, providers.BOARD, money.BOARD, machine_room.BOARD)
