//! End-to-end runs of the `jettison` binary, on images made from their text form and written by other
//! code than jettison's own into every place that it reads.

mod image;
mod place;
mod pulling;
mod refused;
mod run;
mod written;

mod base;
mod config;
mod copies;
mod damaged;
mod diff;
mod dockerfiles;
mod dual;
mod dump;
mod examples;
mod forms;
mod growth;
mod hostile;
mod indexes;
mod interrupted;
mod layers;
mod lint;
mod names;
mod optimize_levels;
mod packing;
mod passes;
mod platforms;
mod promises;
mod receipts;
mod remote;
mod rewrite;
mod talk;
mod target;
mod weigh;
mod weigh_packages;
