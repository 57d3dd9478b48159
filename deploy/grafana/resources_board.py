"""Resources: processor, memory, files, GPUs."""

from panel import BY_VERSION, RATE, Dashboard, Panel, Row, gauge, rate, share

GPU_DESCRIPTION = "From NVIDIA's DCGM exporter, which runs beside the server and is not part of it."


def gpu_share(title, description, metric):
    """How much of the time a part of each GPU works."""
    return Panel(
        title,
        "timeseries",
        "percentunit",
        f"{description} {GPU_DESCRIPTION}",
        [(f"avg by (Hostname, gpu) ({metric})", "{{Hostname}} {{gpu}}")],
        6,
        maximum=1,
        needs_gpu=True,
    )


RESOURCES = Dashboard(
    "reprise-resources",
    "reprise: resources",
    "Processors, memory, files, and GPUs.",
    [
        Row(
            "Processors and memory",
            [
                Panel(
                    "Processor time",
                    "timeseries",
                    "short",
                    "Cores in use by the server process.",
                    [(f"rate(process_cpu_seconds_total{{$P}}[{RATE}])", "{{instance}}")],
                ),
                Panel(
                    "Processors of the machine",
                    "timeseries",
                    "percentunit",
                    "Busy share, whoever uses them.",
                    [("nv_cpu_utilization{$P}", "{{instance}}")],
                    maximum=1,
                ),
                Panel(
                    "Memory of the process",
                    "timeseries",
                    "bytes",
                    "Resident, and what it may use: the control group's limit, or the machine's memory.",
                    [
                        ("process_resident_memory_bytes{$P}", "{{instance}} resident"),
                        ("reprise_memory_limit_bytes{$P}", "{{instance}} limit"),
                    ],
                ),
                Panel(
                    "Memory that the engine holds",
                    "stacked",
                    "bytes",
                    "For all models, by purpose, in the host and in GPUs.",
                    [("sum by (of, purpose) (reprise_engine_memory_bytes{$P}) > 0", "{{of}} {{purpose}}")],
                ),
                Panel(
                    "Working memory of an executor",
                    "timeseries",
                    "percentunit",
                    "Most used so far, of what was planned at load. It never passes 100 %.",
                    [
                        (
                            'max by (model, version) (reprise_arena_bytes{$S,state="used"} / ignoring (state) '
                            '(reprise_arena_bytes{$S,state="capacity"} > 0))',
                            BY_VERSION,
                        )
                    ],
                    maximum=1,
                ),
                Panel(
                    "Memory of the machine",
                    "timeseries",
                    "bytes",
                    "Not available to programs, and all.",
                    [
                        ("nv_cpu_memory_used_bytes{$P}", "{{instance}} used"),
                        ("nv_cpu_memory_total_bytes{$P}", "{{instance}} total"),
                    ],
                ),
            ],
        ),
        Row(
            "Process",
            [
                Panel(
                    "File descriptors",
                    "timeseries",
                    "percentunit",
                    "Open, of the limit. Each connection takes one.",
                    [("process_open_fds{$P} / process_max_fds{$P}", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Time since the start",
                    "stat",
                    "s",
                    "Of each server.",
                    [("time() - process_start_time_seconds{$P}", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Stopping",
                    "stat",
                    "short",
                    "Servers that were asked to stop and still run.",
                    [("sum(reprise_draining{$P})", "draining")],
                    6,
                    7,
                ),
                Panel(
                    "Certificate's end",
                    "stat",
                    "s",
                    "Time left; servers without TLS have none.",
                    [("reprise_tls_certificate_expiry_timestamp_seconds{$P} - time()", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Time to load a version",
                    "bars",
                    "s",
                    "The last load, warm-up included.",
                    [(gauge("reprise_model_load_seconds", "model, version", how="max"), BY_VERSION)],
                    8,
                    7,
                ),
                Panel(
                    "Loads given up by their samples",
                    "timeseries",
                    "short",
                    "Versions whose stored samples were not answered as stored, in the last ten minutes.",
                    [("sum by (model) (increase(reprise_golden_mismatch_total{$S}[10m]))", "{{model}}")],
                    8,
                    7,
                ),
                Panel(
                    "Trace spans",
                    "stacked",
                    "ops",
                    "Written, dropped because the queue to the writer was full, or lost because the file could "
                    "not be written.",
                    [(f"sum by (fate) (rate(reprise_trace_spans_total{{$P}}[{RATE}]))", "{{fate}}")],
                    8,
                    7,
                ),
                Panel(
                    "Time of a scrape",
                    "timeseries",
                    "s",
                    "What reading the metrics page takes.",
                    [('scrape_duration_seconds{job=~"$job",instance=~"$instance"}', "{{instance}}")],
                    12,
                    7,
                ),
                Panel(
                    "Series",
                    "timeseries",
                    "short",
                    "Samples on the metrics page.",
                    [('scrape_samples_scraped{job=~"$job",instance=~"$instance"}', "{{instance}}")],
                    12,
                    7,
                ),
            ],
        ),
        Row(
            "GPUs",
            [
                gpu_share(
                    "GPU busy",
                    "Share of time in which the graphics or compute engine worked.",
                    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
                ),
                gpu_share(
                    "Tensor cores busy",
                    "Share of cycles in which the tensor pipe worked.",
                    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
                ),
                gpu_share(
                    "GPU memory interface busy",
                    "Share of cycles in which data moved from or to GPU memory.",
                    "DCGM_FI_PROF_DRAM_ACTIVE",
                ),
                Panel(
                    "GPU memory used",
                    "timeseries",
                    "mbytes",
                    "Frame buffer in use by all programs, in MiB. " + GPU_DESCRIPTION,
                    [("sum by (Hostname, gpu) (DCGM_FI_DEV_FB_USED)", "{{Hostname}} {{gpu}}")],
                    6,
                    needs_gpu=True,
                ),
            ],
        ),
    ],
)
