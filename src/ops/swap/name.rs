//! Names for databases beside another one.

use std::collections::BTreeSet;

use crate::archive::Timestamp;

/// Most bytes of a name; the server cuts longer ones off.
const NAME_BYTES: usize = 63;

/// `shop_before_20261122_204512`: a name that is not taken, made of a database's own, what becomes of
/// it and when (UTC). A long name loses its end.
pub(super) fn beside(
    database: &str,
    word: &str,
    at: Timestamp,
    taken: &BTreeSet<String>,
) -> String {
    let time = at
        .to_string()
        .replace(['-', ':', 'Z'], "")
        .replace('T', "_");
    let numbered = |number: u64| {
        let number = match number {
            1 => String::new(),
            number => format!("_{number}"),
        };
        let end = format!("_{word}_{time}{number}");
        let mut length = NAME_BYTES.saturating_sub(end.len()).min(database.len());
        while !database.is_char_boundary(length) {
            length -= 1;
        }
        format!("{}{end}", &database[..length])
    };
    let mut number = 1;
    loop {
        let name = numbered(number);
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T20:45:12Z
    const AT: Timestamp = Timestamp(1_795_380_312);

    #[test]
    fn a_name_says_what_it_is_and_is_not_taken() {
        let mut taken = BTreeSet::new();
        let first = beside("shop", "before", AT, &taken);
        assert_eq!(first, "shop_before_20261122_204512");
        taken.insert(first);
        let second = beside("shop", "before", AT, &taken);
        assert_eq!(second, "shop_before_20261122_204512_2");
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_stays_unique() {
        let mut taken = BTreeSet::new();
        for name in [
            "x".repeat(63),
            "ö".repeat(31),
            "日本".repeat(10),
            "\"".repeat(63),
        ] {
            for _ in 0..12 {
                let beside = beside(&name, "shadow", AT, &taken);
                assert!(beside.len() <= NAME_BYTES, "{beside}");
                assert!(beside.contains("_shadow_20261122_204512"), "{beside}");
                assert!(taken.insert(beside));
            }
        }
    }
}
