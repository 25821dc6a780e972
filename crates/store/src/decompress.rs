//! Decoders for layer blobs: gzip with any number of members, zstd with skippable frames, plain.

use std::io::{self, BufRead, Read};

use jettison_image::Compression;

/// A reader of the unpacked bytes.
pub(crate) fn decoder<'a, R: BufRead + Send + 'a>(
    input: R,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            // Long windows (`zstd --long=31`) are legal; libzstd's default refuses those above 128 MiB.
            decoder.window_log_max(31)?;
            Box::new(decoder)
        }
    })
}
