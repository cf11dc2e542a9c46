// The operator's address as the Node baseline would have it; bench.operator puts it into a copy.
app.post('/yclients/messages/', async (q, r) => {
  const found = await pg.query('SELECT id FROM companies WHERE api_key=$1', [(q.headers.authorization || '').slice(7)]);
  if (!found.rows.length) return r.status(401).json([{ error_code: 20, error_message: 'bad key' }]);
  const company = found.rows[0].id, rows = [];
  for (const to of q.body.destination_params) {
    const made = await pg.query(`INSERT INTO operator_messages(company_id,external_id,phone,text,callback_url)
      VALUES($1,$2,$3,$4,$5) ON CONFLICT (company_id,external_id) DO NOTHING RETURNING id`,
      [company, to.id, to.phone, q.body.text, q.body.delivery_callback_url]);
    const same = made.rows.length ? made : await pg.query(
      'SELECT id FROM operator_messages WHERE company_id=$1 AND external_id=$2', [company, to.id]);
    rows.push({ id: to.id, ext_id: String(same.rows[0].id) });
  }
  r.json(rows);
});
