//! code map
