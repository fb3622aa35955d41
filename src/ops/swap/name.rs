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
    let mut number = 1;
    loop {
        let name = numbered(database, word, at, number);
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

/// Whether [`beside`] has given this name then.
pub(super) fn is_beside(name: &str, database: &str, word: &str, at: Timestamp) -> bool {
    let last = name.rsplit('_').next().and_then(|it| it.parse().ok());
    [Some(1), last]
        .into_iter()
        .flatten()
        .any(|number| name == numbered(database, word, at, number))
}

fn numbered(database: &str, word: &str, at: Timestamp, number: u64) -> String {
    let time = at
        .to_string()
        .replace(['-', ':', 'Z'], "")
        .replace('T', "_");
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
                assert!(is_beside(&beside, &name, "shadow", AT), "{beside}");
                assert!(taken.insert(beside));
            }
        }
    }

    #[test]
    fn a_name_that_somebody_else_gave_is_none_of_ours() {
        let ours = beside("shop", "shadow", AT, &BTreeSet::new());
        let later = Timestamp(AT.0 + 1);
        assert!(is_beside(&ours, "shop", "shadow", AT));
        assert!(!is_beside(&ours, "shop", "shadow", later));
        assert!(!is_beside(&ours, "other", "shadow", AT));
        for name in ["shop", "shop_old", "shop_shadow", "shop_2", ""] {
            assert!(!is_beside(name, "shop", "shadow", AT), "{name}");
        }
    }
}
