//! The unit tests of the broker in `examples`, which `cargo test` would otherwise run only in place of building the
//! program that other tests start.
#![allow(dead_code)] // `main` is not called here

#[path = "../examples/mqtt/main.rs"]
mod mqtt;
