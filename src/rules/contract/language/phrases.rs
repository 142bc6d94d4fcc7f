//! The phrases of HTTP statuses that contracts share, by language.

use http::StatusCode;

use super::LanguageTag;
use crate::rules::contract::response;

/// A language that the house has phrases in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum House {
    /// RFC 9110's phrases.
    English,
    /// Decided: the documents in Spanish have no texts for these answers.
    Spanish,
}

impl House {
    /// The one that `tag` is, or is a part of.
    pub(in crate::rules::contract) fn of(tag: &LanguageTag) -> Option<Self> {
        [("en", Self::English), ("es", Self::Spanish)]
            .into_iter()
            .find(|(own, _)| tag.is_within(own))
            .map(|(_, own)| own)
    }

    /// The phrase of a status.
    pub(in crate::rules::contract) fn phrase(self, status: StatusCode) -> &'static str {
        match self {
            Self::English => response::phrase(status).unwrap_or_default(),
            Self::Spanish => spanish(status.as_u16()),
        }
    }
}

const fn spanish(status: u16) -> &'static str {
    match status {
        400 => "Solicitud inválida",
        401 => "No autorizado",
        403 => "Acceso denegado",
        404 => "No encontrado",
        405 => "Método no permitido",
        408 => "Tiempo de espera agotado",
        413 => "Solicitud demasiado grande",
        417 => "Expectativa no admitida",
        429 => "Demasiadas solicitudes",
        431 => "Encabezados demasiado grandes",
        502 => "Error del servicio de destino",
        503 => "Servicio no disponible",
        504 => "Tiempo de espera del servicio de destino agotado",
        _ => "Error del servidor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    #[test]
    fn every_status_of_a_denial_has_a_text_of_its_own() {
        let denials = Reason::ALL.into_iter().filter(|reason| !reason.allows() && *reason != Reason::Internal);
        assert!(denials.into_iter().all(|reason| spanish(reason.status()) != spanish(500)));
    }
}
