//! The languages whose texts an image shows: those of its environment and of its system's settings, English, and those
//! that the user asks for.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_ir::ImageUnit;
use serde_json::Value;

/// Files that set the language of who logs in or of services.
const SETTINGS: [&str; 5] =
    ["etc/default/locale", "etc/locale.conf", "etc/environment", "etc/sysconfig/i18n", "etc/profile.d/locale.sh"];

/// Names of one language.
const NORWEGIAN: [&str; 3] = ["nb", "nn", "no"];

/// A language as locales have it: `pt_BR.UTF-8`, `sr@latin`, `zh-Hant`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Language {
    /// ISO 639's letters.
    language: String,
    /// The country; empty where none is said.
    territory: String,
}

impl Language {
    /// The language that a name is, of a folder or in a setting. None where it is the name of something else.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.split(['.', '@']).next().unwrap_or_default();
        let mut parts = name.split(['_', '-']);
        let language = parts.next().unwrap_or_default();
        let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_language {
            return None;
        }
        let mut territory = String::new();
        for part in parts {
            let is_letters = part.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_number = part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
            match part.len() {
                2 | 3 if is_letters || is_number => territory = part.to_ascii_uppercase(),
                // A script: `zh_Hans`.
                4 if is_letters => {}
                _ => return None,
            }
        }
        Some(Self { language: language.to_owned(), territory })
    }

    /// Whether texts of this language are wanted by whoever names another one: those of the language itself, and of the
    /// country where both say one.
    fn is_for(&self, wanted: &Self) -> bool {
        let is_norwegian = |one: &Self| NORWEGIAN.contains(&one.language.as_str());
        let is_same = self.language == wanted.language || (is_norwegian(self) && is_norwegian(wanted));
        is_same && (self.territory.is_empty() || wanted.territory.is_empty() || self.territory == wanted.territory)
    }
}

/// Languages that stay.
pub(crate) struct Languages {
    wanted: BTreeSet<Language>,
    /// Whether all of them stay.
    pub(crate) are_all: bool,
}

impl Languages {
    /// Those of an image, and those that the user names.
    pub(crate) fn of(unit: &ImageUnit<'_>) -> Self {
        let mut names: Vec<String> = unit.options.keep_locales.clone();
        let are_all = names.iter().any(|name| name == "all");
        let settings = unit.config.settings();
        let set = settings.get("config").and_then(|config| config.get("Env")?.as_array());
        names.extend(set.into_iter().flatten().filter_map(Value::as_str).flat_map(values));
        for file in SETTINGS {
            let text = unit.text(file).unwrap_or_default();
            let lines = text.lines().filter_map(|line| line.to_str().ok());
            names.extend(lines.flat_map(|line| values(line.trim().trim_start_matches("export "))));
        }
        Self { wanted: names.iter().filter_map(|name| Language::of(name)).collect(), are_all }
    }

    /// Whether texts of a language stay.
    pub(crate) fn keep(&self, language: &Language) -> bool {
        self.are_all || language.language == "en" || self.wanted.iter().any(|wanted| language.is_for(wanted))
    }
}

/// The languages that a line such as `LANGUAGE=de_AT:de` names.
fn values(line: &str) -> Vec<String> {
    let Some((name, value)) = line.split_once('=') else { return Vec::new() };
    if !(name == "LANG" || name == "LANGUAGE" || name.starts_with("LC_")) {
        return Vec::new();
    }
    value.trim_matches(['"', '\'']).split(':').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_languages_are_told_from_others() {
        let languages = ["de", "de_DE", "de_DE.UTF-8", "de@euro", "zh_Hant_TW", "pt-BR", "ast", "es_419", "sr@latin"];
        assert!(languages.iter().all(|name| Language::of(name).is_some()));
        let others = ["C", "POSIX", "l10n", "locale.alias", "default", "man1", "all_languages", "entities", ""];
        assert!(others.iter().all(|name| Language::of(name).is_none()));
    }

    #[test]
    fn a_language_is_kept_for_its_country() {
        let is_for = |one: &str, wanted: &str| Language::of(one).unwrap().is_for(&Language::of(wanted).unwrap());
        assert!(is_for("de", "de_AT") && is_for("de_AT", "de") && is_for("pt_BR", "pt_BR") && is_for("no", "nb_NO"));
        assert!(!is_for("pt_PT", "pt_BR") && !is_for("da", "de"));
    }
}
