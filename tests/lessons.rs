//! Each lesson shows its trap and the way out of it, and the places that it names are there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::common::{example, huge::hindrance, run_to_end};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every lesson and its verdict. A number in `<>` has to be more than zero and stands for any such.
const VERDICTS: &[(&str, &str)] = &[
    ("shared-epoll", "wrong way lost 20 of 20 clients; right way lost 0 of 20"),
    ("missing-fin", "wrong way showed the end to 0 of 10 clients; right way to 10 of 10"),
    ("ghost-events", "wrong way was woken for 10 of 10 closed connections; right way for 0 of 10"),
    ("shutdown", "wrong way cut off 10 of 10 clients; right way cut off 0 of 10"),
    ("stale-fd", "wrong way closed the epoll set of 5 of 5 children; right way of 0 of 5"),
    ("rewrap", "wrong way was refused 5 of 5 streams; right way 0 of 5"),
    ("doubled-stdout", "wrong way wrote 20 lines as 40; right way as 20"),
    ("drop-guards", "wrong way left 0 of 1 pid files to a server that runs; right way 1 of 1"),
    ("lost-lock", "wrong way hung 5 of 5 children; right way 0 of 10"),
    ("equal-ids", "wrong way gave out 1000 of 1000 ids twice; right way 0 of 1000"),
    ("deleted-wal", "wrong way lost 10 of 10 rows that were committed; right way lost 0 of 10"),
    ("crossed-answers", "wrong way answered 10 of 10 with what was for another; right way 0 of 10"),
    #[cfg(feature = "postgres")]
    ("rolled-back", "wrong way lost 5 of 5 orders that were committed; right way lost 0 of 5"),
    ("silent-end", "wrong way let the old process hear 0 of 5 messages; right way 5 of 5"),
    ("fork-cost", "wrong way copied <308> KiB of page tables for 128 MiB; right way made <48> KiB"),
    (
        "huge-pages",
        "wrong way copied <65536> entries, and <65536> after a first fork; right way copied <200> and <200>",
    ),
    (
        "copy-on-write",
        "wrong way copied <2010> pages before it served; right way <5> and <72> in the longest turn",
    ),
    ("reuseport", "wrong way lost <43> of 100 clients; right way lost 0 of 100"),
    ("emfile", "wrong way left <7> of 10 clients waiting; right way 0 of 10"),
    ("short-read", "wrong way never finished 10 of 10 connections; right way 0 of 10"),
    ("lost-bytes", "wrong way refused 20 of 20 requests; right way refused 0 of 20"),
    ("truncated-fds", "wrong way lost <7> of 10 clients; right way lost 0 of 10"),
    ("deleted-exe", "wrong way started the old program, or nothing; right way the new program"),
    ("sigchld", "wrong way left <4> of 5 children as zombies; right way 0 of 5"),
    ("late-eof", "wrong way heard of 0 of 3 deaths; right way of 3 of 3"),
];

/// Runs the lesson, and checks its verdict and the places that it names.
fn check(name: &str) -> Vec<u64> {
    let (_, expected) = VERDICTS.iter().find(|(lesson, _)| *lesson == name).expect("a verdict");
    check_verdict(name, expected)
}

fn check_verdict(name: &str, expected: &str) -> Vec<u64> {
    let output = run_to_end(Command::new(example("lessons")).arg(name));
    let text = String::from_utf8(output.stdout).expect("text");
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{text}{trouble}", output.status);
    let verdict = text.lines().rev().find_map(|line| line.strip_prefix("verdict: "));
    let measured = agree(expected, verdict.expect("a verdict"));
    check_places(&text);
    measured
}

/// Answers the numbers that may be any.
fn agree(expected: &str, verdict: &str) -> Vec<u64> {
    let words = || expected.split(' ').zip(verdict.split(' '));
    let same = expected.split(' ').count() == verdict.split(' ').count()
        && words().all(|(expected, word)| match expected.starts_with('<') {
            true => word.parse::<u64>().is_ok_and(|number| number > 0),
            false => word == expected,
        });
    assert!(same, "expected: {expected}\n     got: {verdict}");
    let any = words().filter(|(expected, _)| expected.starts_with('<'));
    any.map(|(_, word)| word.parse().expect("it was one above")).collect()
}

/// `  src/file.rs: function`, for each place in the library.
fn check_places(text: &str) {
    let (_, places) = text.split_once("\nin src:\n").expect("places in src");
    let places: Vec<_> = places.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    let places = places.iter().filter(|(file, _)| file.starts_with("src/"));
    let mut found = 0;
    for (file, function) in places {
        let source = fs::read_to_string(Path::new(ROOT).join(file)).expect(file);
        let is_there = ["(", "<"].iter().any(|end| source.contains(&format!("fn {function}{end}")));
        assert!(is_there, "{file} has no function {function}");
        found += 1;
    }
    assert!(found > 0, "no place in src is named");
}

/// One test for each lesson, so that they run side by side.
macro_rules! lessons {
    ($($(#[$condition:meta])? $test:ident: $name:literal;)*) => {
        $($(#[$condition])? #[test] fn $test() { check($name); })*

        const TESTED: &[&str] = &[$($(#[$condition])? $name),*];
    };
}

lessons! {
    a_child_that_deregisters_takes_its_parents_events: "shared-epoll";
    a_copy_in_a_child_holds_back_the_fin: "missing-fin";
    a_closed_connection_goes_on_to_wake_its_process: "ghost-events";
    a_shutdown_in_a_child_cuts_off_its_parents_clients: "shutdown";
    an_owner_from_before_the_fork_closes_what_came_after: "stale-fd";
    what_was_buffered_before_a_fork_is_written_twice: "doubled-stdout";
    a_guard_that_was_copied_cleans_up_twice: "drop-guards";
    a_lock_that_a_lost_thread_held_is_never_released: "lost-lock";
    two_copies_of_a_generator_give_the_same_ids: "equal-ids";
    a_close_of_a_copied_database_deletes_its_log: "deleted-wal";
    a_copied_client_reads_what_another_has_asked_for: "crossed-answers";
    #[cfg(feature = "postgres")]
    a_copied_transaction_is_rolled_back_where_it_is_dropped: "rolled-back";
    a_copied_subscription_ends_where_it_is_dropped: "silent-end";
    a_queue_that_is_closed_resets_its_clients: "reuseport";
    an_accept_that_failed_has_no_second_edge: "emfile";
    a_short_read_with_the_fin_is_not_the_end: "short-read";
    what_was_read_does_not_go_along_by_itself: "lost-bytes";
    descriptors_that_do_not_fit_are_closed_on_the_way: "truncated-fds";
    an_upgrade_by_proc_self_exe_starts_the_old_program: "deleted-exe";
    several_deaths_are_one_signal: "sigchld";
    the_end_of_a_pipe_is_late_where_it_was_inherited: "late-eof";
}

/// The lessons that are checked by functions of their own, below.
const MEASURED: [&str; 4] = ["fork-cost", "huge-pages", "copy-on-write", "rewrap"];

#[test]
fn a_fork_copies_page_tables_that_grow_with_the_heap() {
    let [copied, fresh] = check("fork-cost")[..] else { panic!("two numbers") };
    // 8 bytes for each of 32,768 pages; a small program has a few pages of tables.
    assert!(copied >= 256 && fresh < copied / 2, "{copied} KiB, {fresh} KiB");
}

#[test]
fn a_fork_copies_few_entries_of_huge_pages_until_they_are_split() {
    let (_, expected) = VERDICTS.iter().find(|(name, _)| *name == "huge-pages").expect("a verdict");
    let (wrong, _) = expected.split_once("; ").expect("two ways");
    let numbers = match hindrance() {
        None => check("huge-pages"),
        Some(_) => {
            check_verdict("huge-pages", &format!("{wrong}; right way is not to be had here"))
        }
    };
    let (small, huge) = numbers.split_at(2);
    assert!(small.iter().all(|&entries| entries > 60_000), "{numbers:?}");
    assert!(huge.iter().all(|&entries| entries < 6_000), "{numbers:?}");
}

#[test]
fn to_drop_what_was_inherited_is_to_copy_it() {
    let [at_once, before, longest] = check("copy-on-write")[..] else { panic!("three numbers") };
    assert!(
        at_once > 1_000 && before < 100 && longest < at_once / 4,
        "{at_once} {before} {longest}"
    );
}

/// mio looks in debug builds only, and the example is built as this test is.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "mio does not look in a release build")]
fn a_stream_of_the_parent_is_refused_by_the_childs_poll() {
    check("rewrap");
}

#[test]
fn each_lesson_is_listed_tested_and_short() {
    let output = run_to_end(&mut Command::new(example("lessons")));
    let text = String::from_utf8(output.stdout).expect("text");
    let listed = text.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let listed: BTreeSet<_> = listed.collect();
    assert_eq!(listed, VERDICTS.iter().map(|(name, _)| *name).collect());
    assert_eq!(listed, TESTED.iter().chain(&MEASURED).copied().collect());
    for name in listed {
        let file = format!("examples/lessons/{}.rs", name.replace('-', "_"));
        let source = fs::read_to_string(Path::new(ROOT).join(&file)).expect(&file);
        assert!(source.lines().count() < 100, "{file} is longer than a lesson");
    }
}

#[test]
fn the_guide_names_lessons_that_exist() {
    let page =
        fs::read_to_string(Path::new(ROOT).join("src/guide/fork_or_exec.rs")).expect("a page");
    let (_, table) = page.split_once("# What a fork shares").expect("the table of traps");
    let table = table.split("\n//! # ").next().expect("the chapter alone");
    let in_table = table.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit('`').next());
    let text = page.replace("\n//!", "");
    let in_text = text.split("(`lessons --").skip(1);
    let in_text = in_text.filter_map(|rest| Some(rest.split('`').next()?.trim()));
    let named: BTreeSet<_> = in_table.chain(in_text).collect();
    assert!(named.len() >= 10, "{named:?}");
    for name in named {
        assert!(VERDICTS.iter().any(|(lesson, _)| *lesson == name), "there is no lesson {name}");
    }
}

#[test]
fn all_of_them_one_after_the_other() {
    let output = run_to_end(Command::new(example("lessons")).arg("all"));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("\nverdict: wrong way ").count(), VERDICTS.len());
}

#[test]
fn an_unknown_name_is_an_error() {
    let output = run_to_end(Command::new(example("lessons")).arg("nonsense"));
    assert_eq!(output.status.code(), Some(2));
}
