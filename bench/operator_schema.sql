-- What operator_route.js needs beside the baseline's own tables: 500 salons with keys, and the messages.
CREATE UNIQUE INDEX ON companies (api_key);
CREATE TABLE operator_messages(id bigserial primary key, company_id int not null references companies,
    external_id text not null, phone text not null, text text not null, status text not null default 'queued',
    callback_url text, created_at timestamptz default now(), unique (company_id, external_id));
INSERT INTO companies(yclients_id, api_key)
    SELECT 100000 + number, 'bench-key-' || number FROM generate_series(0, 499) AS number;
