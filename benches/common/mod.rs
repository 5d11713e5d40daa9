//! What the benchmarks share: servers as processes under measurement, state in their memory, and charts.
#![allow(dead_code)] // each benchmark uses its part of this

pub mod chart;
pub mod process;
pub mod state;
