"""Reasons for which associations, and requests of DICOMweb, are rejected."""

from enum import Enum


class Rejection(Enum):
    """A-ASSOCIATE-RJ: result, source and reason (PS3.8 table 9-21)."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    APPLICATION_CONTEXT_NOT_SUPPORTED = (1, 1, 2)
    PROTOCOL_VERSION_NOT_SUPPORTED = (1, 2, 2)
    USER_NOT_AUTHENTICATED = (1, 2, 1)  # permanent, ACSE, no reason given (PS3.7 section D.3.3.7)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


class WebRejection(Enum):
    """Requests of DICOMweb that are rejected as a whole: the HTTP status of the response."""

    TOKEN_NOT_VALID = 401
    NOT_PERMITTED = 403
    TOO_LARGE = 413
    INVALID_REQUEST = 400

    @property
    def counted_as(self) -> str:
        """Name in counters."""
        return f"web_{self.name.lower()}"
