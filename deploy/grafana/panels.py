"""All dashboards, and which metrics are on none, and why."""

from batching_board import BATCHING
from overview_board import OVERVIEW
from resources_board import RESOURCES
from reuse_board import REUSE

DASHBOARDS = [OVERVIEW, BATCHING, REUSE, RESOURCES]

# Metrics of the catalogue that no panel shows, and why.
TRITON = "Triton's name, for boards made for Triton; "
EXEMPT = {
    "nv_inference_request_success": TRITON + "reprise_inferences_total says the same",
    "nv_inference_request_failure": TRITON + "reprise_inferences_total says the same, by code",
    "nv_inference_count": TRITON + "reprise_batch_rows_sum says nearly the same",
    "nv_inference_exec_count": TRITON + "reprise_batch_rows_count says the same",
    "nv_inference_request_duration_us": TRITON + "reprise_request_duration_seconds says the same",
    "nv_inference_queue_duration_us": TRITON + "reprise_queue_duration_seconds says the same",
    "nv_inference_compute_input_duration_us": TRITON + "reprise_phase_duration_seconds says it once per batch",
    "nv_inference_compute_infer_duration_us": TRITON + "reprise_phase_duration_seconds says it once per batch",
    "nv_inference_compute_output_duration_us": TRITON + "reprise_phase_duration_seconds says it",
    "nv_inference_pending_request_count": TRITON + "reprise_queue_requests says the same",
    "nv_model_load_duration_secs": TRITON + "reprise_model_load_seconds says the same",
    "process_virtual_memory_bytes": "address space says nothing about use",
}
