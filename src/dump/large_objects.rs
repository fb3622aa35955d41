//! Large objects: how they are asked for, with nothing but the right to read them.
//!
//! Their sizes are asked for first, a group at a time: that is one look at an object's last page, and
//! then many small objects make one statement, and one large object is shared by several sessions.
//! `pg_largeobject` itself, which only superusers may read, is not touched.

use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::model::Oid;

/// A large object is read, and written back, in pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

/// Parts are not made smaller than this, nor larger than that.
const MIN_PART_BYTES: u64 = 16 << 20;
const MAX_PART_BYTES: u64 = 512 << 20;

/// Bytes of one large object, from the first to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    oid: Oid,
    from: u64,
    to: u64,
}

impl Span {
    fn bytes(self) -> u64 {
        self.to - self.from
    }
}

/// How large these are, all of each as one span.
pub(super) async fn measure(wire: &mut Wire, oids: &[Oid]) -> Result<Vec<Span>> {
    let rows = wire
        .query(&sizes_statement(oids))
        .await
        .context_with(|| "ask for their sizes")?;
    let unexpected = || Error::new(Kind::Failed, "the server gave sizes of something else");
    let number = |value: &Option<String>| value.as_ref().and_then(|text| text.parse().ok());
    if rows.len() != oids.len() {
        return Err(unexpected());
    }
    let span = |(row, &oid): (&Vec<Option<String>>, &Oid)| match row.as_slice() {
        [found, bytes] if number(found) == Some(u64::from(oid)) => {
            number(bytes).map(|to| Span { oid, from: 0, to })
        }
        _ => None,
    };
    let spans: Option<Vec<Span>> = rows.iter().zip(oids).map(span).collect();
    spans.ok_or_else(unexpected)
}

/// The offset is a fence: each object is opened once.
fn sizes_statement(oids: &[Oid]) -> String {
    let list = join(oids.iter());
    format!(
        "SELECT o, size FROM (\
         SELECT o, n, pg_catalog.lo_lseek64(fd, 0, 2) AS size, pg_catalog.lo_close(fd) FROM (\
         SELECT o, n, pg_catalog.lo_open(o, {READ}) AS fd \
         FROM pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]) WITH ORDINALITY AS u(o, n) OFFSET 0\
         ) AS opened OFFSET 0) AS measured ORDER BY n"
    )
}

/// `INV_READ` of the server.
const READ: u32 = 0x40000;

/// Cuts spans into parts for `jobs` sessions: of about the same size, small ones together, and large ones
/// apart.
pub(super) fn cut(spans: Vec<Span>, jobs: usize) -> Vec<Vec<Span>> {
    let total: u64 = spans.iter().map(|span| span.bytes()).sum();
    let wanted = (total / (4 * jobs.max(1) as u64)).clamp(MIN_PART_BYTES, MAX_PART_BYTES);
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for mut span in spans {
        while bytes + span.bytes() > wanted {
            // Pieces are whole but for an object's last one.
            let room = (wanted - bytes) / PIECE_BYTES * PIECE_BYTES;
            if room > 0 {
                let middle = span.from + room;
                part.push(Span { to: middle, ..span });
                span.from = middle;
            }
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += span.bytes();
        part.push(span);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// Reads spans in pieces. Holes read as zeros. An empty object gives one empty piece.
pub(super) fn statement(spans: &[Span]) -> String {
    let oids = join(spans.iter().map(|span| span.oid));
    let from = join(spans.iter().map(|span| span.from));
    let last = join(spans.iter().map(|span| span.to.saturating_sub(1)));
    format!(
        "COPY (SELECT o, pos, pg_catalog.lo_get(o, pos, {PIECE_BYTES}) FROM (\
         SELECT o, pg_catalog.generate_series(first, last, {PIECE_BYTES}) AS pos \
         FROM ROWS FROM (pg_catalog.unnest('{{{oids}}}'::pg_catalog.oid[]), \
         pg_catalog.unnest('{{{from}}}'::pg_catalog.int8[]), \
         pg_catalog.unnest('{{{last}}}'::pg_catalog.int8[])) AS u(o, first, last)) AS piece) \
         TO STDOUT WITH (FORMAT binary)"
    )
}

fn join(values: impl Iterator<Item = impl ToString>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_every_byte_once(
            sizes in proptest::collection::vec(
                prop_oneof![0u64..100_000, 0u64..1 << 40], 1..50),
            jobs in 1usize..16,
        ) {
            let spans: Vec<Span> = (1..)
                .zip(&sizes)
                .map(|(oid, &to)| Span { oid, from: 0, to })
                .collect();
            let mut next = spans.clone();
            let mut seen = vec![false; spans.len()];
            for part in cut(spans, jobs) {
                prop_assert!(!part.is_empty());
                prop_assert!(part.iter().map(|span| span.bytes()).sum::<u64>() <= MAX_PART_BYTES);
                for span in part {
                    let whole = &mut next[span.oid as usize - 1];
                    prop_assert_eq!(span.from, whole.from);
                    prop_assert!(span.to == whole.to || span.to % PIECE_BYTES == 0);
                    prop_assert!(span.bytes() > 0 || whole.to == 0);
                    whole.from = span.to;
                    seen[span.oid as usize - 1] = true;
                }
            }
            prop_assert!(next.iter().all(|span| span.bytes() == 0));
            prop_assert!(seen.into_iter().all(|seen| seen));
        }
    }

    #[test]
    fn small_ones_stay_together() {
        let spans: Vec<Span> = (1..=1000)
            .map(|oid| Span {
                oid,
                from: 0,
                to: 2000,
            })
            .collect();
        assert_eq!(cut(spans, 8).len(), 1);
    }
}
