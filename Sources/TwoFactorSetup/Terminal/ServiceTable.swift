import HostAccess
import HostDoctor

/// Lists what logins through the services of a host require. Services with the same requirements share a row.
struct ServiceTable {
  let services: [ServiceLogins]

  /// Empty if there are no services.
  func text(on terminal: Terminal) -> String {
    terminal.hasOneColumn ? text(columns: nil, inOneColumn: true) : text(columns: terminal.pageSize?.columns)
  }

  /// Without `columns`, no row is wrapped.
  func text(columns: Int?, inOneColumn: Bool = false) -> String {
    var rows: [Row] = []
    for service in services.filter({ $0.asksForCode || $0.problem != nil }) {
      let isSingleField = service.problem == nil ? (service.isSingleField ? "yes" : "no") : Self.unknown
      let cells = [needs(service.enrolled), needs(service.unenrolled), isSingleField]
      if let index = rows.firstIndex(where: { $0.cells == cells }) {
        rows[index].services.append(service.service)
      } else {
        rows.append(Row(cells: cells, services: [service.service]))
      }
    }
    var text = rows.isEmpty ? "" : inOneColumn ? records(rows) : table(rows, columns)
    let others = services.count { !$0.asksForCode && $0.problem == nil }
    if others > 0 { text += "\(others) \(rows.isEmpty ? "" : "other ")services never ask for a code.\n" }
    return text
  }

  private struct Row {
    let cells: [String]
    var services: [String]
  }

  private static let unknown = "unknown"

  private func needs(_ needs: LoginNeeds?) -> String { needs?.text ?? Self.unknown }

  private var headings: [String] { ["ENROLLED", "NOT ENROLLED", "ONE REPLY"] }

  private func records(_ rows: [Row]) -> String {
    var table = TextTable(["SERVICES"] + headings)
    for row in rows { table.add([row.services.map(\.printable).joined(separator: ", ")] + row.cells) }
    return table.records
  }

  private func table(_ rows: [Row], _ columns: Int?) -> String {
    let widths = headings.indices.map { column in
      (rows.map { $0.cells[column] } + [headings[column]]).map(\.displayWidth).max() ?? 0
    }
    let margin = widths.reduce(0) { $0 + $1 + 2 }
    func line(_ cells: [String], _ last: String) -> String {
      zip(cells, widths).map { $0.padded(to: $1 + 2) }.joined() + last + "\n"
    }
    return line(headings, "SERVICES")
      + rows.map { row in
        let services = row.services.map(\.printable).joined(separator: ", ")
        let lines = columns.map { PageText.wrapped(services, columns: max($0 - margin, 16)) } ?? [services]
        return line(row.cells, lines[0]) + lines.dropFirst().map { line(["", "", ""], $0) }.joined()
      }.joined()
  }
}
