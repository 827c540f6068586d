internal import CPostgreSQL

/// A connection to the primary, for any statements.
@safe
package final class DatabaseConnection {
  // SAFETY: valid until `deinit`.
  private let database: OpaquePointer

  /// The answer to one message of statements.
  package struct Reply {
    /// Of the statements that succeeded, in order.
    package var results: [Result] = []

    /// Of the first statement that failed; nil if all succeeded.
    package var error: ServerError?

    /// Whether the server, or PgBouncer, sent a warning.
    package var hasWarning = false
  }

  /// The result of one statement.
  package struct Result {
    /// Such as `UPDATE 1`.
    package var tag = ""

    /// In text format; nil for NULL.
    package var rows: [[String?]] = []

    /// A value of the first row.
    package func first(_ column: Int) -> String? {
      guard let row = rows.first, row.indices.contains(column) else { return nil }
      return row[column]
    }
  }

  /// An error that the server reported, or the loss of the connection.
  package struct ServerError {
    /// SQLSTATE; empty if the connection was lost.
    package let state: String

    /// Without details, which can contain values.
    package let message: String
  }

  /// Connects to the first server that accepts writes.
  package init(_ parameters: [ConnectionParameter]) throws(StoreProblem) {
    // SAFETY: libpq copies the strings, which are NUL-terminated.
    guard let database = unsafe cpostgresql_new() else { throw StoreProblem(database: "out of memory") }
    unsafe self.database = database
    for parameter in parameters {
      guard unsafe cpostgresql_set(database, parameter.name, parameter.value) != 0 else {
        throw StoreProblem(database: "out of memory")
      }
    }
    guard unsafe cpostgresql_connect(database) != 0 else {
      let problem = unsafe String(cString: cpostgresql_problem(database))
      throw StoreProblem(
        database: "no server can be used: \(problem.isEmpty ? "the connection is not encrypted" : problem)")
    }
  }

  // SAFETY: this is the last use.
  deinit { unsafe cpostgresql_free(database) }

  /// The host of the server.
  package var host: String {
    // SAFETY: the text is NUL-terminated and copied at once.
    unsafe String(cString: cpostgresql_host(database))
  }

  /// The address of the server; nil if unknown.
  package var address: String? {
    // SAFETY: the text is NUL-terminated and copied at once.
    let text = unsafe String(cString: cpostgresql_address(database))
    return text.isEmpty ? nil : text
  }

  /// The version of TLS, such as `TLSv1.3`; nil if unknown.
  package var tlsVersion: String? {
    // SAFETY: the text is NUL-terminated and copied at once.
    let text = unsafe String(cString: cpostgresql_tls_version(database))
    return text.isEmpty ? nil : text
  }

  /// The Unix time at which the server's certificate, or that of its authority, expires; nil if unknown.
  package func certificateEnd(ofAuthority isAuthority: Bool) -> Int64? {
    // SAFETY: the connection is valid.
    let end = unsafe cpostgresql_server_certificate_end(cpostgresql_tls(database), isAuthority ? 1 : 0)
    return end > 0 ? end : nil
  }

  /// Runs statements as one message of the simple protocol, which works through PgBouncer and costs one round trip.
  /// After an error, the server skips the rest.
  package func run(_ statements: String) -> Reply {
    var reply = Reply()
    // SAFETY: texts of the current result are NUL-terminated and copied before the next one.
    guard unsafe cpostgresql_send(database, statements) != 0 else {
      reply.error = unsafe ServerError(state: "", message: String(cString: cpostgresql_problem(database)))
      return reply
    }
    while true {
      switch unsafe cpostgresql_next(database) {
      case CPOSTGRESQL_ROWS, CPOSTGRESQL_DONE: reply.results.append(currentResult)
      case CPOSTGRESQL_ERROR:
        if reply.error == nil {
          reply.error = unsafe ServerError(
            state: String(cString: cpostgresql_state(database)), message: String(cString: cpostgresql_message(database))
          )
        }
      default:
        reply.hasWarning = unsafe cpostgresql_has_warning(database) != 0
        return reply
      }
    }
  }

  private var currentResult: Result {
    // SAFETY: as in `run`.
    var result = unsafe Result(tag: String(cString: cpostgresql_tag(database)))
    let (rowCount, columnCount) = unsafe (cpostgresql_row_count(database), cpostgresql_column_count(database))
    for row in 0..<max(rowCount, 0) {
      var values: [String?] = []
      for column in 0..<max(columnCount, 0) {
        let isNull = unsafe cpostgresql_is_null(database, row, column) != 0
        values.append(isNull ? nil : unsafe String(cString: cpostgresql_value(database, row, column)))
      }
      result.rows.append(values)
    }
    return result
  }
}

/// SQL literals that need no escaping, whatever the server's settings.
package enum SQLLiteral {
  /// A text. `bytes` are UTF-8.
  package static func text(_ text: String) -> String {
    "pg_catalog.convert_from(pg_catalog.decode('\(Hexadecimal.text(text.utf8.span))','hex'),'UTF8')"
  }

  /// Bytes, as hexadecimal digits.
  package static func bytes(hexadecimal digits: String) -> String { "pg_catalog.decode('\(digits)','hex')" }
}

/// Hexadecimal digits, two for each byte.
package enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)

  /// The digits of bytes.
  package static func text(_ bytes: Span<UInt8>) -> String {
    // SAFETY: two digits for each byte fit.
    unsafe String(unsafeUninitializedCapacity: 2 * bytes.count) { memory in
      for index in 0..<bytes.count {
        unsafe memory[2 * index] = digits[Int(bytes[index] >> 4)]
        unsafe memory[2 * index + 1] = digits[Int(bytes[index] & 15)]
      }
      return 2 * bytes.count
    }
  }

  /// Nil unless the text consists of pairs of digits.
  package static func bytes(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let byte = value(digits[index], digits[index + 1]) else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  /// The byte of two digits.
  static func value(_ first: UInt8, _ second: UInt8) -> UInt8? {
    guard let high = value(first), let low = value(second) else { return nil }
    return high << 4 | low
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
