//! The log of events: reading, following, pruning, and the chain.

use super::*;
use sqlx::{AssertSqlSafe, query};

async fn filled(batches: u64, events: u64) -> (World, Database) {
    let world = World::new();
    let database = world.create().await;
    for batch in 0..batches {
        let batch: Vec<_> = (0..events).map(|number| event(batch * events + number, "t")).collect();
        database.append_events(&batch).await.unwrap();
    }
    (world, database)
}

fn times(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|event| event.at.as_millis()).collect()
}

async fn sql(world: &World, sql: &str) {
    query(AssertSqlSafe(sql.to_owned())).execute(&mut world.raw().await).await.unwrap();
}

#[tokio::test]
async fn events_are_read_from_the_newest_in_pages() {
    let (_world, database) = filled(40, 3).await;
    let mut next = None;
    let mut seen = Vec::new();
    loop {
        let page = database.events_before(next, 7, |_| Choice::Take).await.unwrap();
        assert!(page.events.len() == 7 || page.next.is_none());
        seen.extend(times(&page.events));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..120).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn reading_takes_what_is_chosen_and_stops_where_it_is_told() {
    let (_world, database) = filled(40, 3).await;
    let choose = |event: &StoredEvent| match event.at.as_millis() {
        at if at < 10 => Choice::Stop,
        at if at % 10 == 0 => Choice::Take,
        _ => Choice::Skip,
    };
    let page = database.events_before(None, 100, choose).await.unwrap();
    assert_eq!(times(&page.events), [110, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10]);
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn following_sees_every_later_batch_once() {
    let (_world, database) = filled(3, 2).await;
    let start = database.last_batch().await.unwrap();
    assert_eq!(start, 3);
    database.append_events(&[event(100, "t")]).await.unwrap();
    database.append_events(&[event(101, "t"), event(102, "t")]).await.unwrap();
    let mut seen = Vec::new();
    let last = database.events_after(start, |event| seen.push(event)).await.unwrap();
    assert_eq!((last, times(&seen)), (5, vec![100, 101, 102]));
    let last = database.events_after(last, |_| panic!("nothing is new")).await.unwrap();
    assert_eq!(last, 5);
}

#[tokio::test]
async fn an_empty_log_is_whole() {
    let (_world, database) = filled(0, 0).await;
    assert_eq!(database.events_before(None, 5, |_| Choice::Take).await.unwrap(), EventPage::default());
    assert_eq!(database.verify_chain().await.unwrap(), ChainReport::default());
    assert_eq!(database.last_batch().await.unwrap(), 0);
    database.append_events(&[]).await.unwrap();
    assert_eq!(database.last_batch().await.unwrap(), 0);
}

#[tokio::test]
async fn a_large_batch_is_stored_in_rows_that_open_at_once() {
    let (_world, database) = filled(1, 2500).await;
    assert_eq!(database.last_batch().await.unwrap(), 3);
    let report = database.verify_chain().await.unwrap();
    assert_eq!((report.batches, report.events, report.is_whole()), (3, 2500, true));
}

#[tokio::test]
async fn old_batches_go_and_the_chain_holds_on() {
    let (_world, database) = filled(100, 2).await;
    let keep = |oldest, total_bytes| Retention { oldest: UnixMillis::from_millis(oldest), total_bytes };
    assert_eq!(database.prune_events(keep(0, u64::MAX)).await.unwrap(), 0);
    // Batch n holds the times 2n and 2n + 1.
    assert_eq!(database.prune_events(keep(21, u64::MAX)).await.unwrap(), 10);
    let page = database.events_before(None, 1000, |_| Choice::Take).await.unwrap();
    assert_eq!(times(&page.events).last(), Some(&20));
    let report = database.verify_chain().await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    database.append_events(&[event(500, "t")]).await.unwrap();
    assert!(database.verify_chain().await.unwrap().is_whole());
}

#[tokio::test]
async fn the_log_is_bounded_in_bytes() {
    let (_world, database) = filled(100, 2).await;
    let keep = Retention { oldest: UnixMillis::default(), total_bytes: 1000 };
    assert!(database.prune_events(keep).await.unwrap() > 80);
    let report = database.verify_chain().await.unwrap();
    assert!(report.batches > 0 && report.is_whole(), "{report:?}");
    let nothing = Retention { oldest: UnixMillis::default(), total_bytes: 0 };
    database.prune_events(nothing).await.unwrap();
    let report = database.verify_chain().await.unwrap();
    assert!(report.batches == 0 && report.is_whole(), "{report:?}");
    database.append_events(&[event(500, "t")]).await.unwrap();
    assert_eq!(database.last_batch().await.unwrap(), 101);
    assert!(database.verify_chain().await.unwrap().is_whole());
}

#[tokio::test]
async fn what_is_done_to_the_log_is_found() {
    let flip = "UPDATE events SET sealed = CAST(substr(sealed, 1, 40) || iif(substr(sealed, 41, 1) = x'00', x'01', x'00') || substr(sealed, 42) AS BLOB) WHERE seq = 4";
    let cases: &[(&str, &[ChainBreak])] = &[
        (flip, &[ChainBreak::Altered(4)]),
        ("UPDATE events SET count = 5 WHERE seq = 4", &[ChainBreak::Altered(4)]),
        ("UPDATE events SET chain = zeroblob(32) WHERE seq = 4", &[ChainBreak::Altered(4), ChainBreak::Altered(5)]),
        ("DELETE FROM events WHERE seq IN (4, 5)", &[ChainBreak::Missing { first: 4, last: 5 }]),
        ("DELETE FROM events WHERE seq < 3", &[ChainBreak::Missing { first: 1, last: 2 }]),
        ("DELETE FROM events WHERE seq > 7", &[ChainBreak::CutOff { found: 7, expected: 10 }]),
        ("DELETE FROM events", &[ChainBreak::CutOff { found: 0, expected: 10 }]),
        (
            "UPDATE events SET sealed = (SELECT sealed FROM events WHERE seq = 5) WHERE seq = 4",
            &[ChainBreak::Altered(4)],
        ),
        ("UPDATE meta SET value = zeroblob(90) WHERE name = 'event_head'", &[ChainBreak::Mark("end")]),
        (
            "UPDATE events SET seq = 9223372036854775807 WHERE seq = 10",
            &[
                ChainBreak::Missing { first: 10, last: i64::MAX - 1 },
                ChainBreak::Altered(i64::MAX),
                ChainBreak::CutOff { found: i64::MAX, expected: 10 },
            ],
        ),
    ];
    for (deed, expected) in cases {
        let (world, database) = filled(10, 2).await;
        sql(&world, deed).await;
        assert_eq!(database.verify_chain().await.unwrap().breaks, *expected, "{deed}");
    }
}

#[tokio::test]
async fn a_log_that_was_cut_off_goes_on_without_hiding_it() {
    let (world, database) = filled(10, 2).await;
    sql(&world, "DELETE FROM events WHERE seq > 7").await;
    database.append_events(&[event(500, "t")]).await.unwrap();
    assert_eq!(database.last_batch().await.unwrap(), 11);
    assert_eq!(database.verify_chain().await.unwrap().breaks, [ChainBreak::Missing { first: 8, last: 10 }]);
}

#[tokio::test]
async fn the_mark_of_a_pruned_log_is_checked() {
    let (world, database) = filled(10, 2).await;
    let keep = Retention { oldest: UnixMillis::from_millis(10), total_bytes: u64::MAX };
    database.prune_events(keep).await.unwrap();
    sql(&world, "UPDATE meta SET value = zeroblob(90) WHERE name = 'event_anchor'").await;
    let breaks = database.verify_chain().await.unwrap().breaks;
    assert_eq!(breaks, [ChainBreak::Mark("beginning"), ChainBreak::Missing { first: 1, last: 5 }]);
}

#[tokio::test]
async fn an_altered_batch_is_an_error_that_names_it() {
    let (world, database) = filled(3, 2).await;
    sql(&world, "UPDATE events SET sealed = zeroblob(100) WHERE seq = 2").await;
    let error = database.events_before(None, 100, |_| Choice::Take).await.unwrap_err().to_string();
    assert!(error.starts_with("row 2 of table events does not open: it was altered"), "{error}");
}

#[tokio::test]
async fn two_processes_append_to_one_chain() {
    let (world, one) = filled(0, 0).await;
    let two = world.open().await.unwrap();
    let append = async |database: &Database| {
        for number in 0..20 {
            database.append_events(&[event(number, "t")]).await.unwrap();
        }
    };
    tokio::join!(append(&one), append(&two));
    let report = one.verify_chain().await.unwrap();
    assert_eq!((report.batches, report.is_whole()), (40, true));
}
