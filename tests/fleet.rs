//! Three servers behind real balancers: all are upgraded, one is taken away, and no client notices.

use std::process::Command;

use crate::common::example;

fn fleet(args: &[&str]) -> (bool, String) {
    let ran = Command::new(example("fleet")).args(args).output().expect("it runs");
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What a line of the table says: requests, POSTs and failures.
fn numbers(table: &str, name: &str) -> (u64, u64, u64) {
    let line = table.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no line {name:?} in\n{table}"));
    let words: Vec<_> =
        line[44..].split_whitespace().filter(|word| !word.ends_with("ms")).collect();
    let words = words.into_iter().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    (words[0], words[1], words[2])
}

#[test]
#[ignore = "needs haproxy, nginx"]
fn a_rolling_upgrade_and_a_machine_that_leaves_cost_no_request() {
    for moves in [&[][..], &["--no-move"]] {
        let (right, said) = fleet(&[&["--requests", "20000", "--clients", "8"], moves].concat());
        assert!(right, "{said}");
        for server in ["s1", "s2", "s3"] {
            for engine in ["fork", "fork-exec"] {
                let (requests, _, failed) =
                    numbers(&said, &format!("{server} restarts by {engine} "));
                assert!(requests > 0 && failed == 0, "{said}");
            }
        }
        let (requests, _, failed) = numbers(&said, "s3 is a lame duck");
        assert!(requests > 0 && failed == 0, "{said}");
        let (requests, posts, failed) = numbers(&said, "all ");
        assert!(requests >= 20_000 && posts >= 10_000 && failed == 0, "{said}");
    }
}
