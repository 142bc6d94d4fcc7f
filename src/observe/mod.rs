//! Floor 1: what operators see. Metric handles resolved ahead, the access log, the event log.

pub mod access_log;
pub mod audit;
pub mod events;
mod json;
pub mod lines;
pub mod metrics;
