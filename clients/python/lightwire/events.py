"""The events of the catalogue, and handlers that know them. Generated: npm run docs"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Union, overload

Channel = Literal[
    "approval",
    "export",
    "jobs",
    "photos",
    "queue",
    "sessions",
    "system",
]

EventType = Literal[
    "job_created",
    "job_started",
    "job_progress",
    "job_completed",
    "job_failed",
    "job_requeued",
    "job_cancelled",
    "photo_imported",
    "photo_analyzed",
    "photo_selected",
    "photo_approved",
    "photo_rejected",
    "session_created",
    "session_updated",
    "session_completed",
    "session_deleted",
    "system_status",
    "resource_warning",
    "error_occurred",
    "queue_status",
    "priority_changed",
    "approval_queue_updated",
    "export_started",
    "export_completed",
    "export_failed",
]


class JobCreated(TypedDict):
    """jobs, a fact."""

    type: Literal["job_created"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    priority: int


class JobStarted(TypedDict):
    """jobs, a fact."""

    type: Literal["job_started"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    worker: str
    attempt: int


class JobProgress(TypedDict):
    """jobs, a state per job_id."""

    type: Literal["job_progress"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    stage: str
    progress: float
    message: str


class JobCompleted(TypedDict):
    """jobs, a fact."""

    type: Literal["job_completed"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    result: dict[str, Any]


class JobFailed(TypedDict):
    """jobs, a fact."""

    type: Literal["job_failed"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    error_message: str
    error_details: dict[str, Any]


class JobRequeued(TypedDict):
    """jobs, a fact."""

    type: Literal["job_requeued"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    reason: Literal["retry", "lease_expired"]
    attempt: int


class JobCancelled(TypedDict):
    """jobs, a fact."""

    type: Literal["job_cancelled"]
    timestamp: str
    channel: Literal["jobs"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None


class PhotoImported(TypedDict):
    """photos, a fact."""

    type: Literal["photo_imported"]
    timestamp: str
    channel: Literal["photos"]
    seq: int
    photo_id: int
    session_id: int | None
    file_name: str
    file_path: str


class PhotoAnalyzed(TypedDict):
    """photos, a fact."""

    type: Literal["photo_analyzed"]
    timestamp: str
    channel: Literal["photos"]
    seq: int
    photo_id: int
    session_id: int | None
    ai_score: float | None
    analysis_results: dict[str, Any]


class PhotoSelected(TypedDict):
    """photos, a fact."""

    type: Literal["photo_selected"]
    timestamp: str
    channel: Literal["photos"]
    seq: int
    photo_id: int
    session_id: int | None
    context_tag: str
    selected_preset: str


class PhotoApproved(TypedDict):
    """photos, a fact."""

    type: Literal["photo_approved"]
    timestamp: str
    channel: Literal["photos"]
    seq: int
    photo_id: int
    session_id: int | None


class PhotoRejected(TypedDict):
    """photos, a fact."""

    type: Literal["photo_rejected"]
    timestamp: str
    channel: Literal["photos"]
    seq: int
    photo_id: int
    session_id: int | None
    reason: str


class SessionCreated(TypedDict):
    """sessions, a fact."""

    type: Literal["session_created"]
    timestamp: str
    channel: Literal["sessions"]
    seq: int
    session_id: int
    session_name: str
    import_folder: str


class SessionUpdated(TypedDict):
    """sessions, a state per session_id."""

    type: Literal["session_updated"]
    timestamp: str
    channel: Literal["sessions"]
    seq: int
    session_id: int
    session_name: str
    total_photos: int
    processed_photos: int
    progress_percent: float
    status: str


class SessionCompleted(TypedDict):
    """sessions, a fact."""

    type: Literal["session_completed"]
    timestamp: str
    channel: Literal["sessions"]
    seq: int
    session_id: int
    session_name: str
    total_photos: int
    approved_photos: int
    approval_rate: float


class SessionDeleted(TypedDict):
    """sessions, a fact."""

    type: Literal["session_deleted"]
    timestamp: str
    channel: Literal["sessions"]
    seq: int
    session_id: int
    session_name: str


class SystemStatus(TypedDict):
    """system, a state."""

    type: Literal["system_status"]
    timestamp: str
    channel: Literal["system"]
    seq: int
    status: str
    details: dict[str, Any]


class ResourceWarning(TypedDict):
    """system, a fact."""

    type: Literal["resource_warning"]
    timestamp: str
    channel: Literal["system"]
    seq: int
    resource_type: Literal["cpu", "memory", "disk", "gpu"]
    current_value: float
    threshold: float
    message: str


class _ErrorOccurredAlways(TypedDict):
    type: Literal["error_occurred"]
    timestamp: str
    channel: Literal["system"]
    seq: int
    error_type: str
    error_message: str
    error_details: dict[str, Any]


class ErrorOccurred(_ErrorOccurredAlways, total=False):
    """system, a fact."""

    job_id: str
    photo_id: int


class QueueStatus(TypedDict):
    """queue, a state."""

    type: Literal["queue_status"]
    timestamp: str
    channel: Literal["queue"]
    seq: int
    pending: int
    processing: int
    completed: int
    failed: int
    total: int


class PriorityChanged(TypedDict):
    """queue, a fact."""

    type: Literal["priority_changed"]
    timestamp: str
    channel: Literal["queue"]
    seq: int
    job_id: str
    photo_id: int | None
    session_id: int | None
    old_priority: int
    new_priority: int
    reason: str


class _ApprovalQueueUpdatedAlways(TypedDict):
    type: Literal["approval_queue_updated"]
    timestamp: str
    channel: Literal["approval"]
    seq: int
    queue_count: int


class ApprovalQueueUpdated(_ApprovalQueueUpdatedAlways, total=False):
    """approval, a state."""

    session_id: int


class ExportStarted(TypedDict):
    """export, a fact."""

    type: Literal["export_started"]
    timestamp: str
    channel: Literal["export"]
    seq: int
    photo_id: int
    session_id: int | None
    preset_name: str
    destination: str


class ExportCompleted(TypedDict):
    """export, a fact."""

    type: Literal["export_completed"]
    timestamp: str
    channel: Literal["export"]
    seq: int
    photo_id: int
    session_id: int | None
    preset_name: str
    output_path: str
    file_size: int


class ExportFailed(TypedDict):
    """export, a fact."""

    type: Literal["export_failed"]
    timestamp: str
    channel: Literal["export"]
    seq: int
    photo_id: int
    session_id: int | None
    preset_name: str
    error_message: str


AnyEvent = Union[
    JobCreated,
    JobStarted,
    JobProgress,
    JobCompleted,
    JobFailed,
    JobRequeued,
    JobCancelled,
    PhotoImported,
    PhotoAnalyzed,
    PhotoSelected,
    PhotoApproved,
    PhotoRejected,
    SessionCreated,
    SessionUpdated,
    SessionCompleted,
    SessionDeleted,
    SystemStatus,
    ResourceWarning,
    ErrorOccurred,
    QueueStatus,
    PriorityChanged,
    ApprovalQueueUpdated,
    ExportStarted,
    ExportCompleted,
    ExportFailed,
]


class TypedHandlers:
    """`on(type, handler)`: what the handler gets is known by the type."""

    @overload
    def on(self, type: Literal["job_created"], handler: Callable[[JobCreated], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_started"], handler: Callable[[JobStarted], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_progress"], handler: Callable[[JobProgress], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_completed"], handler: Callable[[JobCompleted], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_failed"], handler: Callable[[JobFailed], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_requeued"], handler: Callable[[JobRequeued], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["job_cancelled"], handler: Callable[[JobCancelled], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["photo_imported"], handler: Callable[[PhotoImported], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["photo_analyzed"], handler: Callable[[PhotoAnalyzed], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["photo_selected"], handler: Callable[[PhotoSelected], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["photo_approved"], handler: Callable[[PhotoApproved], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["photo_rejected"], handler: Callable[[PhotoRejected], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["session_created"], handler: Callable[[SessionCreated], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["session_updated"], handler: Callable[[SessionUpdated], None]) -> Callable[[], None]: ...

    @overload
    def on(
        self, type: Literal["session_completed"], handler: Callable[[SessionCompleted], None]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["session_deleted"], handler: Callable[[SessionDeleted], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["system_status"], handler: Callable[[SystemStatus], None]) -> Callable[[], None]: ...

    @overload
    def on(
        self, type: Literal["resource_warning"], handler: Callable[[ResourceWarning], None]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["error_occurred"], handler: Callable[[ErrorOccurred], None]) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["queue_status"], handler: Callable[[QueueStatus], None]) -> Callable[[], None]: ...

    @overload
    def on(
        self, type: Literal["priority_changed"], handler: Callable[[PriorityChanged], None]
    ) -> Callable[[], None]: ...

    @overload
    def on(
        self, type: Literal["approval_queue_updated"], handler: Callable[[ApprovalQueueUpdated], None]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["export_started"], handler: Callable[[ExportStarted], None]) -> Callable[[], None]: ...

    @overload
    def on(
        self, type: Literal["export_completed"], handler: Callable[[ExportCompleted], None]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, type: Literal["export_failed"], handler: Callable[[ExportFailed], None]) -> Callable[[], None]: ...

    def on(self, type: EventType, handler: Callable[[Any], None]) -> Callable[[], None]:
        """Calls ``handler`` with each event of this type; returns what takes it away again."""
        return self._on(type, handler)

    def _on(self, name: str, handler: Callable[[Any], None]) -> Callable[[], None]:
        raise NotImplementedError
