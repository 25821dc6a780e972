//! What is known of the commands in RUN instructions: the state they leave, what stands against merging them, and
//! which paths they touch.

pub(crate) mod bases;
pub(crate) mod effects;
pub(crate) mod hazards;
pub(crate) mod join;
pub(crate) mod moves;
pub(crate) mod state;
