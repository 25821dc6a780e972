//! The folders that loaders look in by themselves, and the variables in the folders that files name.

use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, Machine};

use crate::elf::loading::{Class, Loading};

/// Subfolders for kinds of processors before glibc 2.33, which removed them in 2.37; and `tls`.
pub(super) const OLD_VARIANTS: [&str; 12] =
    ["tls", "haswell", "xeon_phi", "avx512_1", "x86_64", "i586", "i686", "sse2", "atomics", "power8", "power9", "neon"];

/// Debian's folders of an architecture.
fn triplets(file: &Loading) -> &'static [&'static str] {
    match (Machine(file.machine), file.class, file.is_big_endian) {
        (EM_X86_64, Class::Bits64, _) => &["x86_64-linux-gnu"],
        (EM_X86_64, Class::Bits32, _) => &["x86_64-linux-gnux32"],
        (EM_386, ..) => &["i386-linux-gnu", "i486-linux-gnu", "i586-linux-gnu", "i686-linux-gnu"],
        (EM_AARCH64, ..) => &["aarch64-linux-gnu"],
        (EM_ARM, ..) => &["arm-linux-gnueabihf", "arm-linux-gnueabi"],
        (EM_RISCV, ..) => &["riscv64-linux-gnu"],
        (EM_PPC64, _, false) => &["powerpc64le-linux-gnu"],
        (EM_PPC64, _, true) => &["powerpc64-linux-gnu"],
        (EM_S390, ..) => &["s390x-linux-gnu"],
        (EM_LOONGARCH, ..) => &["loongarch64-linux-gnu"],
        (EM_MIPS, Class::Bits64, _) => &["mips64el-linux-gnuabi64"],
        (EM_MIPS, Class::Bits32, _) => &["mipsel-linux-gnu"],
        _ => &[],
    }
}

/// What `$PLATFORM` may stand for.
fn platforms(file: &Loading) -> &'static [&'static str] {
    match Machine(file.machine) {
        EM_X86_64 => &["x86_64", "haswell", "xeon_phi"],
        EM_386 => &["i686", "i586", "i486", "i386"],
        EM_AARCH64 => &["aarch64"],
        EM_ARM => &["v7l", "v6l", "v8l"],
        EM_PPC64 => &["power10", "power9", "power8", "powerpc64le"],
        EM_S390 => &["z16", "z15", "z14", "z13", "s390x"],
        EM_RISCV => &["riscv64"],
        EM_LOONGARCH => &["loongarch64"],
        _ => &[""],
    }
}

/// Where glibc's loaders look last, by distribution: Debian's folders of an architecture, those by the size of addresses,
/// those of all.
pub(super) fn defaults(file: &Loading) -> Vec<Vec<u8>> {
    let mut folders = Vec::new();
    for triplet in triplets(file) {
        folders.extend([format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")]);
    }
    let names: &[&str] = match (Machine(file.machine), file.class) {
        (EM_X86_64, Class::Bits32) => &["libx32"],
        (_, Class::Bits64) => &["lib64", "lib"],
        (_, Class::Bits32) => &["lib32", "lib"],
    };
    for name in names {
        folders.extend([format!("/{name}"), format!("/usr/{name}")]);
    }
    folders.push("/usr/local/lib".to_owned());
    folders.into_iter().map(String::into_bytes).collect()
}

/// A folder of `RPATH` or `RUNPATH` with the folder of the file that has it.
#[must_use]
pub fn with_origin(folder: &[u8], origin: &[u8]) -> Vec<u8> {
    with(folder, &[(b"ORIGIN", origin)])
}

/// The same with all variables (ld.so(8), "Dynamic string tokens"), for each value that they may have.
pub(super) fn expanded(folder: &[u8], file: &Loading, origins: &[Vec<u8>]) -> Vec<Vec<u8>> {
    if !folder.contains(&b'$') {
        return vec![folder.to_vec()];
    }
    let in_lib = triplets(file).iter().map(|triplet| format!("lib/{triplet}").into_bytes());
    let libs = in_lib.chain([b"lib64".to_vec(), b"lib".to_vec(), b"lib32".to_vec()]);
    let libs: Vec<Vec<u8>> = libs.filter(|lib| lib != b"lib32" || file.class == Class::Bits32).collect();
    let mut out = Vec::new();
    for origin in origins {
        for lib in &libs {
            for platform in platforms(file) {
                let path = with(folder, &[(b"ORIGIN", origin), (b"LIB", lib), (b"PLATFORM", platform.as_bytes())]);
                if !out.contains(&path) {
                    out.push(path);
                }
            }
        }
    }
    out
}

/// A text with variables put in, `$NAME` or `${NAME}`.
fn with(text: &[u8], variables: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some((&first, behind)) = rest.split_first() {
        if first == b'$' {
            for (name, value) in variables {
                let braced = [b"{", *name, b"}"].concat();
                let plain = behind
                    .strip_prefix(*name)
                    .filter(|left| left.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'));
                if let Some(left) = behind.strip_prefix(braced.as_slice()).or(plain) {
                    out.extend_from_slice(value);
                    rest = left;
                    continue 'text;
                }
            }
        }
        out.push(first);
        rest = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_the_folder_of_the_user() {
        assert_eq!(with_origin(b"$ORIGIN/../lib", b"/opt/bin"), b"/opt/bin/../lib");
        assert_eq!(with_origin(b"${ORIGIN}", b"/opt/bin"), b"/opt/bin");
        assert_eq!(with_origin(b"/x/$ORIGINAL", b"/opt/bin"), b"/x/$ORIGINAL");
        assert_eq!(with_origin(b"/lib", b"/opt/bin"), b"/lib");
    }
}
