"""The 127 microthesauri of EuroVoc (the EU's thesaurus), in the order of their concept ids 100163 to 100289."""

from __future__ import annotations

FIRST_ID = 100163

_LISTED = """
political framework; political party; electoral procedure and voting; parliament; parliamentary proceedings;
politics and public safety; executive power and public service; international affairs; cooperation policy;
international security; defence; EU institutions and European civil service; European Union law;
European construction; EU finance; sources and branches of the law; civil law; criminal law; justice;
organisation of the legal system; international law; rights and freedoms; economic policy; economic conditions;
regions and regional policy; economic structure; national accounts; economic analysis; trade policy; tariff policy;
trade; international trade; consumption; marketing; distributive trades; monetary relations; monetary economics;
financial institutions and credit; free movement of capital; financing and investment; insurance;
public finance and budget policy; budget; taxation; prices; family; migration; demography and population;
social framework; social affairs; culture and religion; social protection; health; construction and town planning;
education; teaching; organisation of teaching; documentation; communications; information and information processing;
information technology and data processing; natural and applied sciences; humanities; business organisation;
business classification; legal form of organisations; management; accounting; competition; employment; labour market;
organisation of work and working conditions; personnel management and staff remuneration;
labour law and labour relations; transport policy; organisation of transport; land transport;
maritime and inland waterway transport; air and space transport; environmental policy; natural environment;
deterioration of the environment; agricultural policy; agricultural structures and production; farming systems;
cultivation of agricultural land; means of agricultural production; agricultural activity; forestry; fisheries;
plant product; animal product; processed agricultural produce; beverages and sugar; foodstuff; agri-foodstuffs;
food technology; production; technology and technical regulations; research and intellectual property; energy policy;
coal and mining industries; oil industry; electrical and nuclear industries; soft energy;
industrial structures and policy; chemistry; iron, steel and other metal industries; mechanical engineering;
electronics and electrical engineering; building and public works; wood industry; leather and textile industries;
miscellaneous industries; Europe; regions of EU Member States; America; Africa; Asia and Oceania; economic geography;
political geography; overseas countries and territories; United Nations; European organisations;
extra-European organisations; world organisations; non-governmental organisations
"""

MICROTHESAURI = tuple(name.strip() for name in _LISTED.split(";"))
