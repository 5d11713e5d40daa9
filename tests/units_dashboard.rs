//! The unit tests of the dashboard in `examples`, which `cargo test` would otherwise run only in place of building the
//! program that other tests start.
#![allow(dead_code)] // `main` is not called here

#[path = "../examples/dashboard/main.rs"]
mod dashboard;
