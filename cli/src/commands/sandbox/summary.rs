//! What to tell once everything is ready: where the mesh is reached, and what to do next.

use std::time::Duration;

use mesh_sandbox::Record;
use mesh_sandbox::samples::BUNDLES;

/// The sentences for standard error.
pub fn summary(record: &Record, samples: &[String], empty: bool, took: Duration) -> String {
    let mut lines = vec![
        format!("Ready after {:.1} s.", took.as_secs_f32()),
        String::new(),
    ];
    let named = if record.name == mesh_sandbox::DEFAULT_NAME {
        String::new()
    } else {
        format!(" --name {}", record.name)
    };
    if !empty {
        lines.push(format!("  {:<12}{}", "ingress", record.ingress.url));
    }
    for sample in samples {
        if let Some(bundle) = BUNDLES.iter().find(|bundle| bundle.name == sample) {
            lines.push(format!(
                "  {:<12}{}{}",
                sample, record.ingress.url, bundle.path
            ));
        }
    }
    let mut next = |what: &str, command: &str| lines.push(format!("  {what:<12}{command}"));
    next(
        "kubectl",
        &format!("eval \"$(meshctl sandbox env{named})\""),
    );
    next("pods", &format!("meshctl sandbox status{named}"));
    if !empty {
        next("proxies", "meshctl proxy-status");
    }
    if samples.iter().any(|sample| sample == "bookinfo") {
        next("shift", "meshctl shift reviews v3=50");
    }
    if samples.iter().any(|sample| sample == "website") {
        next("shift", "meshctl shift website version-2=50");
    }
    next("end", &format!("meshctl sandbox down{named}"));
    lines.push(String::new());
    lines.join("\n")
}
