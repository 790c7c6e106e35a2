"""Pictures that a team has here already, by the references that its requests may hold instead of an address: an upload
(`img_…`), or a picture that an edit of its own delivered (`edit_…/0`).

What is another team's, what never was and what is over are one answer: None.
"""

import re

from adapters.contract import Picture
from gateway.clock import Clock
from gateway.identity import upload_id
from gateway.keeper import Keeper, of_upload
from gateway.pictures import CheckedInput
from gateway.results import MissingPicture
from gateway.state.edits import Edits
from gateway.state.patience import Patience
from gateway.state.records import EditRecord, Image, Status
from gateway.state.references import Reference
from gateway.state.uploads import Upload, Uploads

_UPLOAD = re.compile(r"img_[0-9a-f]{32}")
_RESULT = re.compile(r"(edit_[0-9a-f-]{32,36})/(\d{1,2})")


class Stock:
    def __init__(self, uploads: Uploads, edits: Edits, keeper: Keeper, patience: Patience, clock: Clock) -> None:
        self._uploads, self._edits, self._keeper = uploads, edits, keeper
        self._patience, self._clock = patience, clock

    async def keep(self, team: str, checked: CheckedInput) -> Upload:
        """An upload of the picture. Raises `ResultsUnavailable` and `StoreUnavailable`."""
        picture = checked.picture
        reference = of_upload(upload_id(picture.digest), self._uploads.life_ms)
        await self._keeper.put(team, "inputs", picture.digest, checked.data, reference)
        return await self._patience.keep(lambda: self._uploads.keep(team, picture))

    async def find(self, team: str, reference: str) -> Upload | None:
        return await self._uploads.look(team, reference) if _UPLOAD.fullmatch(reference) else None

    async def forget(self, team: str, upload: Upload) -> None:
        """The picture stays for as long as an edit refers to it."""
        await self._uploads.forget(team, upload.id)
        await self._keeper.release(team, "inputs", upload.picture.digest, upload.id)

    async def upload(self, team: str, reference: str, user: Reference) -> Picture | None:
        """The picture of an upload, kept for `user` from now on, and the upload for its whole life again."""
        if not _UPLOAD.fullmatch(reference):
            return None
        used = await self._patience.keep(lambda: self._uploads.use(team, reference))
        kept = used is not None and await self._patience.keep(lambda: self._refer(team, used, user))
        return used.picture if used and kept else None

    async def _refer(self, team: str, upload: Upload, user: Reference) -> bool:
        own = of_upload(upload.id, self._uploads.life_ms)
        for reference in (user, own):
            if not await self._keeper.refer(team, "inputs", upload.picture.digest, reference):
                return False
        return True

    async def result(self, team: str, reference: str) -> bytes | None:
        """The bytes of a picture that an edit delivered and that can still be fetched."""
        match = _RESULT.fullmatch(reference)
        record = await self._patience.keep(lambda: self._edits.get(match[1])) if match else None
        image = self._image(team, record, int(match[2])) if match and record else None
        if image is None:
            return None
        try:
            return await self._keeper.results.get(team, "results", image.digest)
        except MissingPicture:
            return None

    def _image(self, team: str, record: EditRecord, number: int) -> Image | None:
        if record.team != team or record.status is not Status.SUCCEEDED or record.end is None or record.erase_ms:
            return None
        is_over = record.pictures_until_s(self._keeper.keep_s) < self._clock.now_ms() / 1000
        return None if is_over or number >= len(record.end.images) else record.end.images[number]
