//! Medians, ratios, and how they are shown.

use serde_json::{Value, json};

use crate::cost::Cost;
use crate::pair::{Findings, Pair};

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn of(costs: &[Cost], what: impl Fn(&Cost) -> f64) -> f64 {
    median(costs.iter().map(what).collect())
}

/// One comparison as a record.
fn pair_record(pair: &Pair) -> Value {
    let ratio = median(
        pair.ours
            .iter()
            .zip(&pair.theirs)
            .map(|(ours, theirs)| theirs.seconds / ours.seconds)
            .collect(),
    );
    let peak = |costs: &[Cost]| costs.iter().map(|cost| cost.peak_bytes).max();
    json!({
        "what": pair.name, "peer": pair.peer, "runs": pair.ours.len(),
        "times_faster": ratio,
        "seconds": of(&pair.ours, |c| c.seconds), "peer_seconds": of(&pair.theirs, |c| c.seconds),
        "all_seconds": pair.ours.iter().map(|c| c.seconds).collect::<Vec<_>>(),
        "all_peer_seconds": pair.theirs.iter().map(|c| c.seconds).collect::<Vec<_>>(),
        "client_cpu": of(&pair.ours, |c| c.client_cpu), "peer_client_cpu": of(&pair.theirs, |c| c.client_cpu),
        "server_cpu": of(&pair.ours, |c| c.server_cpu), "peer_server_cpu": of(&pair.theirs, |c| c.server_cpu),
        "archive_bytes": pair.ours[0].archive_bytes, "peer_archive_bytes": pair.theirs[0].archive_bytes,
        "peak_bytes": peak(&pair.ours), "peer_peak_bytes": peak(&pair.theirs),
    })
}

/// Everything about one data set on one server.
pub fn record(server: &Value, set: &str, findings: &Findings) -> Value {
    let pairs: Vec<Value> = findings.pairs.iter().map(pair_record).collect();
    let floor = findings.floor.map(|floor| {
        // The dump with the most jobs at zstd:1 is what the floor is of.
        let dump = findings
            .pairs
            .iter()
            .rfind(|pair| pair.peer.starts_with("pg_dump 18 -Fd") && pair.name.ends_with(" zstd:1"))
            .expect("a floor is measured after a dump");
        let seconds = of(&dump.ours, |cost| cost.seconds);
        let all = seconds * crate::cores() as f64;
        json!({
            "of": dump.name, "seconds": seconds,
            "server_seconds": floor.server, "server_cpu": floor.server_cpu, "zstd_seconds": floor.zstd,
            "times_the_floor": seconds / (floor.server + floor.zstd),
            "sha256_cpu": floor.sha256, "fingerprint_cpu": floor.fingerprint,
            "checksum_share": (floor.sha256 + floor.fingerprint) / all,
        })
    });
    json!({"server": server, "data": set, "pairs": pairs, "floor": floor})
}

/// The records as tables for people.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
pub fn print(records: &[Value]) {
    println!(
        "| server | data | pgstow | peer | runs | s | peer s | times faster | client CPU s | peer | server CPU s | peer | MB | peer MB | peak MiB | peer MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for record in records {
        for pair in record["pairs"].as_array().into_iter().flatten() {
            let n = |key: &str| pair[key].as_f64().unwrap_or(f64::NAN);
            println!(
                "| {} | {} | {} | {} | {:.0} | {:.2} | {:.2} | **{:.2}** | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} |",
                text(&record["server"]["version"]),
                text(&record["data"]),
                text(&pair["what"]),
                text(&pair["peer"]),
                n("runs"),
                n("seconds"),
                n("peer_seconds"),
                n("times_faster"),
                n("client_cpu"),
                n("peer_client_cpu"),
                n("server_cpu"),
                n("peer_server_cpu"),
                n("archive_bytes") / 1e6,
                n("peer_archive_bytes") / 1e6,
                n("peak_bytes") / 1048576.0,
                n("peer_peak_bytes") / 1048576.0,
            );
        }
    }
    println!();
    println!(
        "| server | data | dump s | floor: server s | floor: zstd s | dump / floor | SHA-256 CPU s | fingerprint CPU s | checksums' share |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for record in records {
        let floor = &record["floor"];
        if floor.is_null() {
            continue;
        }
        let n = |key: &str| floor[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "| {} | {} | {:.2} | {:.2} | {:.2} | **{:.2}** | {:.2} | {:.2} | {:.1} % |",
            text(&record["server"]["version"]),
            text(&record["data"]),
            n("seconds"),
            n("server_seconds"),
            n("zstd_seconds"),
            n("times_the_floor"),
            n("sha256_cpu"),
            n("fingerprint_cpu"),
            100.0 * n("checksum_share"),
        );
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
