//! The texts that the contracts in Spanish share, all of them decided: their documents have none for
//! these answers.

/// The text of an HTTP status. What a dialect's document or decisions word otherwise stands in the dialect's own file.
pub(super) const fn phrase(status: u16) -> &'static str {
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

/// The body is no JSON object (decided for `maxpoint`, and `apis` and `toc` follow).
pub(super) const NOT_JSON: &str = "El cuerpo de la solicitud no es JSON válido";

/// One field is missing: the wording of maxpoint-auth-token.md, «Respuesta con Error (400)».
pub(super) fn required_field(field: &str) -> String {
    format!("El campo '{field}' es requerido")
}

/// All fields that are missing, in one sentence.
pub(super) fn required_fields(fields: &[&str]) -> String {
    match fields {
        [] => phrase(400).to_owned(),
        [field] => required_field(field),
        [init @ .., last] => format!("Los campos '{}' y '{last}' son requeridos", init.join("', '")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portero::domain::Reason;

    #[test]
    fn every_status_of_a_denial_has_a_text_of_its_own() {
        let denials = Reason::ALL.into_iter().filter(|reason| !reason.allows() && *reason != Reason::Internal);
        assert!(denials.into_iter().all(|reason| phrase(reason.status()) != phrase(500)));
    }

    #[test]
    fn missing_fields_make_one_sentence() {
        assert_eq!(required_fields(&["a"]), "El campo 'a' es requerido");
        assert_eq!(required_fields(&["a", "b"]), "Los campos 'a' y 'b' son requeridos");
        assert_eq!(required_fields(&["a", "b", "c"]), "Los campos 'a', 'b' y 'c' son requeridos");
    }
}
