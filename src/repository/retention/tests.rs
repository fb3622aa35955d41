#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_795_000_000); // 2026-11-18 11:06:40 UTC

fn days_ago(days: u64) -> Timestamp {
    Timestamp(NOW.0 - days * DAY)
}

fn backup(id: &str, backup_type: BackupType, created: Timestamp, state: State) -> Candidate {
    Candidate {
        id: id.to_owned(),
        database: "shop".to_owned(),
        series: "shop".to_owned(),
        backup_type,
        created,
        state,
        pinned: false,
    }
}

/// A backup every day for so many days, all completed.
fn every_day(days: u64) -> Vec<Candidate> {
    (0..days)
        .map(|day| {
            let id = format!("{day:04}");
            backup(&id, BackupType::Daily, days_ago(day), State::Completed)
        })
        .collect()
}

fn kept_ids(backups: &[Candidate], policy: &Policy, now: Timestamp) -> Vec<String> {
    let decisions = judge(backups, policy, now);
    let kept = decisions.into_iter().filter(|decision| decision.keep);
    kept.map(|decision| decision.id).collect()
}

#[test]
fn two_years_of_daily_backups_leave_days_weeks_and_months() {
    let kept = kept_ids(&every_day(730), &Policy::default(), NOW);
    // Seven days; the newest older than these. Sundays (15 November is 3 days ago) within 28 days;
    // the newest older than 28 days; last days of months within a year; the newest older than that.
    let mut expected: Vec<u64> = vec![0, 1, 2, 3, 4, 5, 6, 7, 10, 17, 24, 28];
    // 31 October is 18 days ago.
    expected.extend([18, 49, 79, 110, 141, 171, 202, 232, 263, 291, 322, 353, 365]);
    expected.sort_unstable();
    let expected: Vec<String> = expected.iter().map(|day| format!("{day:04}")).collect();
    assert_eq!(kept, expected);
}

#[test]
fn cases() {
    let short = Policy {
        daily: Keep::days(7),
        weekly: Keep::default(),
        monthly: Keep::default(),
        keep_verified: 1,
        ..Policy::default()
    };
    use BackupType::{Daily, Manual, Weekly};
    use State::{Completed, Damaged, Expired, Failed, Running, Verified};
    // Name, policy, backups as (id, type, days ago, state), those that stay.
    type Case = (
        &'static str,
        Policy,
        Vec<(&'static str, BackupType, u64, State)>,
        Vec<&'static str>,
    );
    let cases: Vec<Case> = vec![
        (
            "what is damaged is not the last good one, and has its time",
            short.clone(),
            vec![("a", Daily, 1, Damaged), ("b", Daily, 700, Completed)],
            vec!["a", "b"],
        ),
        (
            "what is damaged goes when its time is over and there is a good one",
            short.clone(),
            vec![("a", Daily, 0, Completed), ("b", Daily, 30, Damaged)],
            vec!["a"],
        ),
        (
            "what is damaged stays where there is nothing better",
            short.clone(),
            vec![("a", Daily, 30, Damaged), ("b", Daily, 31, Failed)],
            vec!["a"],
        ),
        (
            "what is half deleted goes, and is not the last good one",
            short.clone(),
            vec![("a", Daily, 0, Expired), ("b", Daily, 700, Completed)],
            vec!["b"],
        ),
        (
            "an outage of two years leaves the last good one",
            short.clone(),
            vec![("a", Daily, 700, Completed), ("b", Daily, 701, Completed)],
            vec!["a"],
        ),
        (
            "a failed one is not the last good one",
            short.clone(),
            vec![("a", Daily, 1, Failed), ("b", Daily, 700, Completed)],
            vec!["a", "b"],
        ),
        (
            "the record of a failure goes after its time",
            short.clone(),
            vec![("a", Daily, 31, Failed), ("b", Daily, 1, Completed)],
            vec!["b"],
        ),
        (
            "one that runs is left alone, however long",
            short.clone(),
            vec![("a", Daily, 90, Running), ("b", Daily, 1, Completed)],
            vec!["a", "b"],
        ),
        (
            "the newest verified one stays, whatever its age",
            short.clone(),
            vec![
                ("a", Daily, 0, Completed),
                ("b", Daily, 8, Completed),
                ("c", Daily, 9, Completed),
                ("d", Daily, 100, Verified),
                ("e", Daily, 200, Verified),
            ],
            vec!["a", "b", "d"],
        ),
        (
            "a type has its own window",
            Policy {
                weekly: Keep::days(28),
                ..short.clone()
            },
            vec![
                ("a", Daily, 0, Completed),
                ("b", Weekly, 27, Completed),
                ("c", Weekly, 29, Completed),
                ("d", Weekly, 36, Completed),
            ],
            vec!["a", "b", "c"],
        ),
        (
            "manual ones stay for ever by default",
            short.clone(),
            vec![("a", Daily, 0, Completed), ("b", Manual, 4000, Completed)],
            vec!["a", "b"],
        ),
        (
            "manual ones have a window if that was said",
            Policy {
                manual_days: Some(30),
                ..short.clone()
            },
            vec![
                ("a", Daily, 0, Completed),
                ("b", Daily, 8, Completed),
                ("c", Manual, 29, Completed),
                ("d", Manual, 31, Completed),
            ],
            vec!["a", "b", "c"],
        ),
        (
            "counts do not look at age",
            Policy {
                daily: Keep {
                    days: None,
                    count: Some(2),
                },
                ..short.clone()
            },
            vec![
                ("a", Daily, 100, Completed),
                ("b", Daily, 200, Completed),
                ("c", Daily, 300, Completed),
            ],
            vec!["a", "b"],
        ),
        (
            "the newest so many stay",
            Policy {
                keep_last: 3,
                ..short.clone()
            },
            vec![
                ("a", Daily, 100, Completed),
                ("b", Daily, 200, Completed),
                ("c", Daily, 300, Completed),
                ("d", Daily, 400, Completed),
            ],
            vec!["a", "b", "c"],
        ),
    ];
    for (name, policy, backups, expected) in cases {
        let backups: Vec<Candidate> = backups
            .into_iter()
            .map(|(id, backup_type, days, state)| backup(id, backup_type, days_ago(days), state))
            .collect();
        assert_eq!(kept_ids(&backups, &policy, NOW), expected, "{name}");
    }
}

#[test]
fn what_a_clock_ahead_has_made_takes_nobody_s_place() {
    let ahead = Timestamp(NOW.0 + 700 * 86_400);
    let backups = [
        backup("old", BackupType::Daily, days_ago(900), State::Completed),
        backup("new", BackupType::Daily, days_ago(800), State::Completed),
        backup("ahead", BackupType::Daily, ahead, State::Completed),
    ];
    let mut policy = Policy::default();
    for tier in [&mut policy.daily, &mut policy.weekly, &mut policy.monthly] {
        tier.days = None;
    }
    assert_eq!(kept_ids(&backups, &policy, NOW), ["new", "ahead"]);
}

#[test]
fn a_pin_and_a_series_of_its_own_save() {
    let mut backups = every_day(100);
    backups[99].pinned = true;
    backups[98].series = "other".to_owned();
    let decisions = judge(&backups, &Policy::default(), NOW);
    assert_eq!(
        decisions[99],
        Decision {
            id: "0099".to_owned(),
            keep: true,
            reason: "pinned".to_owned()
        }
    );
    assert_eq!(decisions[98].reason, "among the newest");
    assert!(!decisions[97].keep);
    assert_eq!(decisions[97].reason, "97 days old, and no rule keeps it");
}

#[test]
fn days_are_those_of_the_time_zone() {
    // 2026-11-17 23:30 and 2026-11-18 00:30 in Berlin are one day in New York, two in Berlin.
    let evening = Timestamp(1_794_954_600);
    let policy = |zone: &str| Policy {
        daily: Keep {
            days: None,
            count: Some(9),
        },
        weekly: Keep::default(),
        monthly: Keep::default(),
        zone: TimeZone::get(zone).unwrap(),
        ..Policy::default()
    };
    let backups = [
        backup("a", BackupType::Daily, evening, State::Completed),
        backup(
            "b",
            BackupType::Daily,
            Timestamp(evening.0 + 3600),
            State::Completed,
        ),
    ];
    assert_eq!(
        kept_ids(&backups, &policy("Europe/Berlin"), NOW),
        ["a", "b"]
    );
    assert_eq!(kept_ids(&backups, &policy("America/New_York"), NOW), ["b"]);
}

#[test]
fn each_database_is_judged_by_its_own_jobs() {
    let of = |database: &str, days: u64| Candidate {
        database: database.to_owned(),
        series: database.to_owned(),
        ..backup(
            &format!("{database}{days}"),
            BackupType::Daily,
            days_ago(days),
            State::Completed,
        )
    };
    let strict = || Policy {
        daily: Keep::days(1),
        weekly: Keep::default(),
        monthly: Keep::default(),
        ..Policy::default()
    };
    let patient = || Policy {
        daily: Keep::days(10),
        ..strict()
    };
    let other = |database: Option<&str>| OtherJob {
        name: "web".to_owned(),
        database: database.map(str::to_owned),
        policy: patient(),
    };
    let backups: Vec<Candidate> = ["shop", "web", "old"]
        .iter()
        .flat_map(|database| [1, 5, 20, 30].map(|days| of(database, days)))
        .collect();
    let going = |rules: &Rules| -> Vec<String> {
        let judged = rules.judge(&backups, NOW);
        judged
            .into_iter()
            .filter(|it| !it.keep)
            .map(|it| it.id)
            .collect()
    };
    let alone = going(&strict().into());
    let of_all = |database: &str| [5, 20, 30].map(|days| format!("{database}{days}"));
    let everything = [of_all("shop"), of_all("web"), of_all("old")].concat();
    assert_eq!(alone, everything, "the newest stays");
    // Another job's database is its own; what is nobody's goes by the job at hand.
    let shop = Some("shop".to_owned());
    let rules = Rules::beside(strict(), shop.clone(), vec![other(Some("web"))]);
    assert_eq!(going(&rules), [of_all("shop"), of_all("old")].concat());
    let reasons = rules.judge(&backups, NOW);
    assert_eq!(reasons[6].reason, "of job web, whose rules are its own");
    // Two jobs of one database: what either keeps stays.
    let rules = Rules::beside(strict(), shop.clone(), vec![other(Some("shop"))]);
    let rest = [of_all("web"), of_all("old")].concat();
    assert_eq!(going(&rules), [vec!["shop30".to_owned()], rest].concat());
    // A job of which nobody knows the database may have any but ours.
    let rules = Rules::beside(strict(), shop, vec![other(None)]);
    assert_eq!(going(&rules), of_all("shop"));
    assert!(going(&Rules::beside(strict(), None, vec![other(None)])).is_empty());
}

fn any_backup() -> impl Strategy<Value = Candidate> {
    (
        0_u64..900 * DAY,
        0_usize..4,
        0_usize..8,
        any::<bool>(),
        0_u8..2,
        any::<u32>(),
    )
        .prop_map(|(age, backup_type, state, pinned, series, id)| Candidate {
            id: format!("{age}-{id}"),
            database: "shop".to_owned(),
            series: format!("s{series}"),
            backup_type: BackupType::ALL[backup_type],
            created: Timestamp(NOW.0 - age),
            state: match state {
                0 => State::Running,
                1 => State::Failed,
                2 | 3 => State::Verified,
                _ => State::Completed,
            },
            pinned: pinned && id % 8 == 0,
        })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let keep = || {
        (
            proptest::option::of(0_u32..400),
            proptest::option::of(0_u32..10),
        )
            .prop_map(|(days, count)| Keep { days, count })
    };
    (
        keep(),
        keep(),
        keep(),
        proptest::option::of(0_u32..60),
        0_u32..5,
        0_u32..4,
    )
        .prop_map(
            |(daily, weekly, monthly, manual_days, keep_last, keep_verified)| Policy {
                daily,
                weekly,
                monthly,
                manual_days,
                keep_last,
                keep_verified,
                ..Policy::default()
            },
        )
}

fn of_series<'a>(backups: &'a [Candidate], series: &str) -> Vec<&'a Candidate> {
    let mut found: Vec<&Candidate> = backups.iter().filter(|it| it.series == series).collect();
    found.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    found
}

proptest! {
    /// What is left is left alone the next time, and the order of the list does not matter.
    #[test]
    fn decisions_are_stable(
        mut backups in prop::collection::vec(any_backup(), 0..60),
        policy in any_policy(),
        seed in any::<u64>(),
    ) {
        backups.sort_by(|a, b| a.id.cmp(&b.id));
        backups.dedup_by(|a, b| a.id == b.id);
        let kept = kept_ids(&backups, &policy, NOW);
        let left: Vec<Candidate> =
            backups.iter().filter(|it| kept.contains(&it.id)).cloned().collect();
        prop_assert_eq!(kept_ids(&left, &policy, NOW), kept.clone());
        let mut shuffled = backups.clone();
        shuffled.sort_by_key(|it| xxhash_rust::xxh3::xxh3_64_with_seed(it.id.as_bytes(), seed));
        let mut again = kept_ids(&shuffled, &policy, NOW);
        again.sort();
        prop_assert_eq!(again, kept);
    }

    /// Never below the floor; every window covered; what runs or is pinned stays.
    #[test]
    fn nothing_is_lost(
        mut backups in prop::collection::vec(any_backup(), 0..60),
        policy in any_policy(),
    ) {
        backups.sort_by(|a, b| a.id.cmp(&b.id));
        backups.dedup_by(|a, b| a.id == b.id);
        let kept = kept_ids(&backups, &policy, NOW);
        let stays = |it: &Candidate| kept.contains(&it.id);
        for it in &backups {
            if it.state == State::Running || (it.pinned && it.state.is_good()) {
                prop_assert!(stays(it));
            }
        }
        for series in ["s0", "s1"] {
            let all = of_series(&backups, series);
            let good: Vec<&Candidate> = all.into_iter().filter(|it| it.state.is_good()).collect();
            for it in good.iter().take(policy.keep_last.max(1) as usize) {
                prop_assert!(stays(it));
            }
            let verified = good.iter().filter(|it| it.state == State::Verified);
            for it in verified.take(policy.keep_verified as usize) {
                prop_assert!(stays(it));
            }
            for tier in Tier::ALL {
                let Some(days) = policy.tier(tier).days.filter(|&days| days > 0) else { continue };
                let (inside, outside): (Vec<&Candidate>, Vec<&Candidate>) =
                    good.iter().copied().partition(|it| is_within(it.created, days, NOW));
                // Each period that has a good one in the window keeps one.
                for it in &inside {
                    let period = tier.period(it.created, &policy.zone);
                    let mut those = good.iter().filter(|other| stays(other));
                    let has = those.any(|it| tier.period(it.created, &policy.zone) == period);
                    prop_assert!(has);
                }
                // The window's beginning has one before it, if it ever had.
                if let Some(newest) = outside.first() {
                    prop_assert!(stays(newest));
                }
            }
        }
    }

    /// A backup that was let go is not missed later: time alone brings none of the others back.
    #[test]
    fn pruning_every_day_is_pruning_once(days in 1_u64..120) {
        let policy = Policy::default();
        let all = every_day(days + 40);
        let mut standing: Vec<Candidate> = Vec::new();
        for day in (0..days + 40).rev() {
            let now = Timestamp(days_ago(day).0 + 3600);
            standing.extend(all.iter().filter(|it| it.created == days_ago(day)).cloned());
            let kept = kept_ids(&standing, &policy, now);
            standing.retain(|it| kept.contains(&it.id));
        }
        // Every day of the last week and every week of the last four is there.
        for day in 0..7.min(days + 40) {
            prop_assert!(standing.iter().any(|it| it.created == days_ago(day)));
        }
        for week in 0..4_u64.min((days + 40) / 7) {
            let period = Tier::Weekly.period(days_ago(week * 7), &policy.zone);
            let of = |it: &Candidate| Tier::Weekly.period(it.created, &policy.zone);
            let has = standing.iter().any(|it| of(it) == period);
            prop_assert!(has);
        }
    }
}
