//! How much of the machine a test needs. Most wait for other processes, and need next to nothing.

/// Tests with nobody beside them, by the beginnings of their names. They measure a part of themselves, or keep all cores busy,
/// so that the others would only make them late.
const ALONE: [&str; 6] = [
    "capacity::",
    "deferred::clients_are_served_between_the_pieces",
    "moving_back_load::",
    "moving_load::",
    "state_load::",
    "tls_moving_load::",
];

/// Tests that keep a core busy for long: half of the room is theirs.
const HEAVY: [&str; 5] = [
    "demo::",
    "faults::",
    "handing_back::a_stop_in_the_middle_of_it_ends_both_sides",
    "lessons::all_of_them_one_after_the_other",
    "shared_output::what_a_hundred_wait_for_goes_along_once",
];

pub fn is_alone(test: &str) -> bool {
    ALONE.iter().any(|name| test.starts_with(name))
}

/// How many of `all` places it takes.
pub fn places(test: &str, all: usize) -> usize {
    if is_alone(test) {
        all
    } else if HEAVY.iter().any(|name| test.starts_with(name)) {
        all.div_ceil(2)
    } else {
        1
    }
}
