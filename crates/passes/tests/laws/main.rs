//! Every case of every pass's page, under the laws that hold for all passes.

mod development;
mod evidence;
mod image;
mod links;
mod pages;
mod source;
mod stripping;
