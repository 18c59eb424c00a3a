"""Pseudonyms under a secret: patients, UIDs and days, the same in each export with this secret, unlinkable without."""

import base64
import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from cxr_node.domain.identifiers import Uid

LEAST_SECRET_CHARACTERS = 32
_SEPARATOR = chr(0x1F)
_PATIENT_BYTES = 10
_LEAST_DAYS, _MOST_DAYS = 365, 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonyms:
    """HMAC-SHA-256 (RFC 2104) of an identifier and its kind under `secret`."""

    secret: str = field(repr=False)

    def patient_id(self, patient: str) -> str:
        """Return the pseudonym of a patient: 16 letters and digits, also the Patient's Name."""
        return base64.b32encode(self._keyed("patient", patient)[:_PATIENT_BYTES]).decode("ascii")

    def shift(self, patient: str) -> timedelta:
        """Return by how much dates of a patient are moved: one to ten years into the past, in days."""
        number = int.from_bytes(self._keyed("days", patient)[:8], "big")
        return -timedelta(days=_LEAST_DAYS + number % (_MOST_DAYS - _LEAST_DAYS + 1))

    def uid(self, uid: str) -> Uid:
        """Return the UID in place of another: that of a UUID (PS3.5 section B.2), which embeds no date or device."""
        return Uid(f"2.25.{uuid.UUID(bytes=self._keyed('uid', uid)[:16], version=5).int}")

    @property
    def fingerprint(self) -> str:
        """Text that two exports share if they have the same secret, from which it cannot be computed."""
        return self._keyed("fingerprint", "").hex()[:16]

    def _keyed(self, kind: str, text: str) -> bytes:
        message = f"cxr-node export{_SEPARATOR}{kind}{_SEPARATOR}{text}"
        return hmac.digest(self.secret.encode(), message.encode(), hashlib.sha256)
